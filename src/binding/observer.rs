//! The observers of an application as the event listener of one call.

use std::sync::Arc;

use super::completions::{CallbackHandle, JsMessage};
use crate::events::{Event, EventListener};

pub(super) struct JsEventListener(pub(super) Arc<CallbackHandle>);

impl EventListener for JsEventListener {
    fn on_event(&self, event: Event) {
        let event = event.into();
        self.0.notify(JsMessage::Event { event });
    }
}
