//! Requests that a source builds from files, such as a workload's token or Azure Arc's key: read on a thread of the
//! pool, within the time that one exchange may take.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::task::Pilot;
use super::{Engine, Plan};
use crate::error::{Code, Error};
use crate::http::retry_loop::ChallengeRequest;
use crate::http::timer::timeout_at;
use crate::http::{Request, Response};
use crate::platform::Machine;

impl Engine {
    /// Builds a request. Where files of a directory are read for that, it happens on a thread of the pool.
    pub(super) async fn build_request<T: Send + 'static>(
        &self,
        directory: Option<&Path>,
        limit: Duration,
        build: impl FnOnce(&Machine) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(directory) = directory else {
            return build(&self.machine);
        };
        let machine = self.machine.clone();
        let place = directory.to_string_lossy();
        let built = self.machine.blocking.run(&place, move || build(&machine));
        match timeout_at(Instant::now() + limit, built).await {
            Some(Some(built)) => built,
            Some(None) => {
                let message = format!("Internal error: reading a file in {place} ended without an outcome.");
                Err(Error::new(Code::FailedResponse, message))
            }
            None => {
                let message = format!(
                    "A file in {place} could not be read within {} ms. Check that its file system responds.",
                    limit.as_millis()
                );
                Err(Error::new(Code::UnableToReadSecretFile, message).with(|facts| facts.retryable = true))
            }
        }
    }
}

impl Pilot {
    /// The request for a token, with the roots that its endpoint is verified against.
    pub(super) async fn first_request(&self) -> Result<Request, Error> {
        let (source, ask) = (self.plan.source.clone(), self.plan.ask.clone());
        let directory = self.plan.source.directory_of_request();
        let limit = self.plan.settings.timeouts.request;
        let build = move |machine: &Machine| source.request(&ask, machine);
        let mut request = self.engine.build_request(directory, limit, build).await?;
        self.flight.report.add_secrets(request.secrets.iter().cloned());
        self.plan.roots.equip(&mut request, limit).await;
        Ok(request)
    }

    /// The request that follows a response, if that is a challenge.
    pub(super) fn challenge_request<'a>(
        &'a self,
        request: &'a Request,
        response: &Response,
    ) -> ChallengeRequest<'a> {
        let Plan {
            source,
            ask,
            settings,
            ..
        } = &self.plan;
        let status = Some(response.status);
        let built: ChallengeRequest<'_> = match source.directory_of_challenge(response) {
            None => {
                let built = source.challenge(ask, response, &self.engine.machine);
                Box::pin(async { built })
            }
            Some(directory) => {
                let directory = directory.to_owned();
                let (source, ask, response) = (source.clone(), ask.clone(), response.clone());
                let build = move |machine: &Machine| source.challenge(&ask, &response, machine);
                Box::pin(async move {
                    let limit = settings.timeouts.request;
                    self.engine.build_request(Some(&directory), limit, build).await
                })
            }
        };
        Box::pin(async move {
            let built = built.await;
            let built = built.map_err(|error| error.with(|facts| facts.status = status))?;
            Ok(built.map(|answer| {
                self.flight.report.add_secrets(answer.secrets.iter().cloned());
                answer.verified_as(request)
            }))
        })
    }
}
