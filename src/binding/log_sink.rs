//! A caller's `loggerCallback` as a log sink.
//!
//! The JavaScript layer wraps the callback so that it neither throws nor rejects. Lines wait in a bounded queue; if it is
//! full, they are dropped, since logging must not delay a token.

use napi::Status;
use napi::bindgen_prelude::FnArgs;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

use crate::log::{Level, LogSink};

/// The most lines that wait for the event loop.
const MAX_QUEUED_LINES: usize = 1_024;

type Line = FnArgs<(u32, String)>;

/// The callback as the JavaScript layer wraps it; held weakly.
pub(super) type LogFunction = ThreadsafeFunction<Line, (), Line, Status, false, true, MAX_QUEUED_LINES>;

/// A log sink in JavaScript.
pub(super) struct JsLogSink(pub(super) LogFunction);

impl LogSink for JsLogSink {
    fn write_line(&self, level: Level, line: String) {
        // A full queue drops the line, and so does an environment that has ended.
        self.0.call(
            (level as u32, line).into(),
            ThreadsafeFunctionCallMode::NonBlocking,
        );
    }
}
