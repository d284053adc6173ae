//! Lines for the reader of one application's log, in msal-node's format.
//!
//! Knows levels and the shape of a line, not where lines go. Whoever writes a line keeps secrets out
//! of it: only names, addresses without their query, statuses, numbers and durations go in.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::token::Timestamp;

/// How much a line matters; the numbers are msal-node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something failed.
    Error,
    /// Something failed that did not hurt yet.
    Warning,
    /// What was done.
    Info,
    /// How it was done.
    Verbose,
    /// Every step.
    Trace,
}

impl Level {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Error, "Error"),
        (Self::Warning, "Warning"),
        (Self::Info, "Info"),
        (Self::Verbose, "Verbose"),
        (Self::Trace, "Trace"),
    ];

    /// From msal-node's number.
    pub fn from_number(number: f64) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(level, _)| (f64::from(*level as u8) - number).abs() < f64::EPSILON)
            .map(|(level, _)| *level)
    }

    /// msal-node's name for it.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Takes finished lines. It must not block and must not fail.
pub trait LogSink: Send + Sync {
    /// One line.
    fn write_line(&self, level: Level, line: String);
}

/// The log of one application: a level, and a sink if anybody reads.
#[derive(Clone)]
pub struct Log {
    level: Level,
    sink: Option<Arc<dyn LogSink>>,
}

impl Log {
    /// A log that passes on lines up to this level.
    pub fn new(level: Level, sink: Option<Arc<dyn LogSink>>) -> Self {
        Self { level, sink }
    }

    /// The level up to which lines pass.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Writes a line. `message` is called only if the level is enabled and there is a sink.
    pub fn write(
        &self,
        level: Level,
        now: Timestamp,
        correlation_id: &str,
        message: impl FnOnce() -> String,
    ) {
        let Some(sink) = self.sink.as_ref().filter(|_| level <= self.level) else {
            return;
        };
        let since = Duration::from_millis(u64::try_from(now.millis()).unwrap_or(0));
        let stamp = httpdate::fmt_http_date(UNIX_EPOCH + since);
        let package = concat!(env!("CARGO_PKG_NAME"), "@", env!("CARGO_PKG_VERSION"));
        sink.write_line(
            level,
            format!(
                "[{stamp}] : [{correlation_id}] : {package} : {} - {}",
                level.name(),
                message()
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<(Level, String)>>);

    impl LogSink for Kept {
        fn write_line(&self, level: Level, line: String) {
            self.0.lock().expect("unpoisoned").push((level, line));
        }
    }

    #[test]
    fn log_line_has_the_msal_node_format_and_levels_filter() {
        let kept = Arc::new(Kept::default());
        let log = Log::new(Level::Info, Some(kept.clone()));
        let now = Timestamp::from_secs(1_700_000_000);
        log.write(Level::Info, now, "c-1", || "words".into());
        log.write(Level::Verbose, now, "c-1", || {
            unreachable!("made although nobody reads it")
        });
        let lines = kept.0.lock().expect("unpoisoned");
        let line = format!(
            "[Tue, 14 Nov 2023 22:13:20 GMT] : [c-1] : managed-identity-native@{} : Info - words",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(*lines, [(Level::Info, line)]);
    }

    #[test]
    fn level_numbers_equal_msal_node() {
        let names: Vec<_> = (0..5)
            .filter_map(|n| Level::from_number(f64::from(n)))
            .map(Level::name)
            .collect();
        assert_eq!(names, ["Error", "Warning", "Info", "Verbose", "Trace"]);
        assert!(
            [-1.0, 0.5, 5.0, f64::NAN]
                .into_iter()
                .all(|n| Level::from_number(n).is_none())
        );
    }
}
