//! Requests that a source builds from files, such as the token of a workload identity or Azure Arc's key file. The files
//! are read on the blocking pool, within the request timeout.

use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;

use super::client::TokenClient;
use super::context::AcquisitionContext;
use super::task::AcquisitionTask;
use crate::error::{Code, Error};
use crate::http::retry_loop::ChallengeFuture;
use crate::http::timer::timeout_at;
use crate::http::{Request, Response};
use crate::platform::Platform;

impl TokenClient {
    /// Builds a request: on the blocking pool if it reads files of a directory, otherwise in place.
    pub(super) async fn build_request<T: Send + 'static>(
        &self,
        directory: Option<&Path>,
        limit: Duration,
        build: impl FnOnce(&Platform) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let Some(directory) = directory else {
            return build(&self.platform);
        };
        let platform = self.platform.clone();
        let directory = directory.to_string_lossy();
        let building = self.platform.blocking.run(&directory, move || build(&platform));
        match timeout_at(Instant::now() + limit, building).await {
            Some(Some(built)) => built,
            Some(None) => {
                let message =
                    format!("Internal error: reading a file in {directory} ended without an outcome.");
                Err(Error::new(Code::FailedResponse, message))
            }
            None => {
                let message = format!(
                    "A file in {directory} could not be read within {} ms. Check that its file system responds.",
                    limit.as_millis()
                );
                Err(Error::new(Code::UnableToReadSecretFile, message)
                    .map_details(|details| details.retryable = true))
            }
        }
    }
}

impl AcquisitionTask {
    /// Builds the request for a token, with the root certificates that its endpoint is verified against.
    pub(super) async fn first_request(&self) -> Result<Request, Error> {
        let (source, query) = (self.context.source.clone(), self.context.query.clone());
        let directory = self.context.source.request_directory();
        let limit = self.context.application.options.timeouts.request;
        let build = move |platform: &Platform| source.request(&query, platform);
        let mut request = self.client.build_request(directory, limit, build).await?;
        self.in_flight
            .error_context
            .add_secrets(request.secrets.iter().cloned());
        self.context.roots.attach_to(&mut request, limit).await;
        Ok(request)
    }

    /// Builds the request that answers a challenge; `None` if the response is not a challenge.
    pub(super) fn challenge_request<'a>(
        &'a self,
        request: &'a Request,
        response: &Response,
    ) -> ChallengeFuture<'a> {
        let AcquisitionContext {
            source,
            query,
            application,
            ..
        } = &self.context;
        let status = Some(response.status);
        let built: ChallengeFuture<'_> = match source.challenge_directory(response) {
            None => {
                let built = source.answer_challenge(query, response, &self.client.platform);
                Box::pin(async { built })
            }
            Some(directory) => {
                let directory = directory.to_owned();
                let (source, query, response) = (source.clone(), query.clone(), response.clone());
                let build = move |platform: &Platform| source.answer_challenge(&query, &response, platform);
                Box::pin(async move {
                    let limit = application.options.timeouts.request;
                    self.client.build_request(Some(&directory), limit, build).await
                })
            }
        };
        Box::pin(async move {
            let built = built.await;
            let built = built.map_err(|error| error.map_details(|details| details.status = status))?;
            Ok(built.map(|answer| {
                self.in_flight
                    .error_context
                    .add_secrets(answer.secrets.iter().cloned());
                answer.with_roots_of(request)
            }))
        })
    }
}
