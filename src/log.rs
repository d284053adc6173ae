//! The log of an application, in msal-node's format.
//!
//! Filters by level and formats lines; a [`LogSink`] writes them. Callers keep secrets out of their messages: these
//! contain only names, URLs without their query, statuses, numbers and durations.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crate::token::Timestamp;

/// The level of a line. The numbers are msal-node's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// An operation failed.
    Error,
    /// Something failed without failing the operation.
    Warning,
    /// The result of an operation.
    Info,
    /// The steps of an operation.
    Verbose,
    /// Details of the steps.
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

    /// Returns the level with msal-node's number; `None` for any other number.
    pub fn from_number(number: f64) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(level, _)| (f64::from(*level as u8) - number).abs() < f64::EPSILON)
            .map(|(level, _)| *level)
    }

    /// Returns msal-node's name of the level.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Receives formatted lines. Implementations must not block and must not fail.
pub trait LogSink: Send + Sync {
    /// Writes one line.
    fn write_line(&self, level: Level, line: String);
}

/// The log of one application: a level, and a sink if the application has a logger.
#[derive(Clone)]
pub struct Log {
    level: Level,
    sink: Option<Arc<dyn LogSink>>,
}

impl Log {
    /// Creates a log that writes lines up to this level.
    pub fn new(level: Level, sink: Option<Arc<dyn LogSink>>) -> Self {
        Self { level, sink }
    }

    /// Returns the level up to which lines are written.
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
    struct RecordingSink(Mutex<Vec<(Level, String)>>);

    impl LogSink for RecordingSink {
        fn write_line(&self, level: Level, line: String) {
            self.0.lock().expect("unpoisoned").push((level, line));
        }
    }

    #[test]
    fn log_line_has_the_msal_node_format_and_levels_filter() {
        let sink = Arc::new(RecordingSink::default());
        let log = Log::new(Level::Info, Some(sink.clone()));
        let now = Timestamp::from_secs(1_700_000_000);
        log.write(Level::Info, now, "c-1", || "message".into());
        log.write(Level::Verbose, now, "c-1", || {
            unreachable!("formatted although its level is disabled")
        });
        let lines = sink.0.lock().expect("unpoisoned");
        let line = format!(
            "[Tue, 14 Nov 2023 22:13:20 GMT] : [c-1] : managed-identity-native@{} : Info - message",
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
