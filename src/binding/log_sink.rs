//! A caller's `loggerCallback` as a sink of lines.
//!
//! The face wraps the callback so that neither an exception nor a rejection leaves it. Lines wait in
//! a bounded queue; when it is full they are dropped, since logging must never delay a token.

use napi::Status;
use napi::bindgen_prelude::FnArgs;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};

use crate::log::{Level, LogSink};

/// Lines that may wait for the event loop.
const MAX_QUEUED_LINES: usize = 1_024;

type Line = FnArgs<(u32, String)>;

/// The callback, as the face wraps it; held weakly.
pub(super) type LogFunction = ThreadsafeFunction<Line, (), Line, Status, false, true, MAX_QUEUED_LINES>;

/// A caller's callback.
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
