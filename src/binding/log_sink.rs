//! The `loggerCallback` of an application as the log sink of one call.

use std::sync::Arc;

use super::completions::{CallbackHandle, JsMessage};
use crate::log::{Level, LogSink};

pub(super) struct JsLogSink(pub(super) Arc<CallbackHandle>);

impl LogSink for JsLogSink {
    fn write_line(&self, level: Level, line: String) {
        let level = level as u32;
        self.0.notify(JsMessage::Line { level, line });
    }
}
