//! Whether a response is for the resource that was asked for, and the names that endpoints have for resources besides.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::task::{Pilot, Stop};
use crate::error::Error;
use crate::http::retry_loop::{Chain, End};
use crate::http::{Request, is_success};
use crate::source::{Answer, is_other_resource};

/// A process asks for a handful of resources; more than this come from a caller that makes them up.
const MAX_ALIASES: usize = 1_024;

/// By endpoint and resource, what the endpoint has called the resource twice in a row.
#[derive(Default)]
pub(super) struct ResourceAliases(Mutex<HashMap<(String, String), String>>);

impl ResourceAliases {
    /// Returns whether an endpoint is known to call a resource so.
    pub(super) fn contains(&self, endpoint: &str, resource: &str, named: &str) -> bool {
        let key = (endpoint.to_owned(), resource.to_owned());
        self.lock()
            .get(&key)
            .is_some_and(|known| !is_other_resource(known, named))
    }

    pub(super) fn insert(&self, endpoint: &str, resource: &str, named: String) {
        let mut aliases = self.lock();
        if aliases.len() >= MAX_ALIASES {
            aliases.clear();
        }
        aliases.insert((endpoint.to_owned(), resource.to_owned()), named);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pilot {
    /// Sends a request, and once more over a new connection if its response is for another resource.
    pub(super) async fn run_checked(&self, chain: &Chain<'_>, mut request: Request) -> Result<End, Stop> {
        let end = self.run(chain, &request).await;
        // A caller's own client answers for itself.
        let is_native = chain.transport.id() == self.engine.native.id();
        let Some(first) = self.other_resource(&end).filter(|_| is_native) else {
            return Ok(end);
        };
        // A stray response, or the endpoint's own spelling. A new connection tells: nothing stray can be on it.
        drop(end);
        request.needs_new_connection = true;
        let end = self.run(chain, &request).await;
        match self.other_resource(&end) {
            Some(second) if is_other_resource(&first, &second) => {
                return Err(Stop::Failed(self.unexpected_resource(&end)));
            }
            Some(_) => self.remember_alias(first),
            None => {}
        }
        Ok(end)
    }

    /// The resource that a response with a token names, if it is another than the one that was asked for, and not
    /// known as this endpoint's name for it.
    fn other_resource(&self, end: &End) -> Option<String> {
        let End::Answer(response) = end else { return None };
        if !is_success(response.status) {
            return None;
        }
        let answer = Answer::read(&response.body)?;
        let (asked, named) = (self.plan.ask.resource.as_str(), answer.resource()?);
        let endpoint = self.flight.report.endpoint();
        let is_other =
            is_other_resource(asked, named) && !self.engine.resource_aliases.contains(endpoint, asked, named);
        is_other.then(|| named.to_owned())
    }

    fn remember_alias(&self, named: String) {
        let endpoint = self.flight.report.endpoint();
        let asked = self.plan.ask.resource.as_str();
        self.engine.resource_aliases.insert(endpoint, asked, named);
    }

    fn unexpected_resource(&self, end: &End) -> Error {
        match end {
            End::Answer(response) => self.flight.report.unusable(
                "its tokens are for other resources than the one asked for, and not twice for the same",
                response,
                self.flight.progress.attempts(),
            ),
            end => self.error(end),
        }
    }
}
