//! Requests that a source builds from files, such as a workload's token or Azure Arc's key: read on a thread of the
//! pool, within the time that one exchange may take.

use std::path::Path;
use std::time::Duration;

use tokio::time::timeout;

use super::Engine;
use crate::error::{Code, Error};
use crate::machine::Machine;

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
        match timeout(limit, built).await {
            Ok(Some(built)) => built,
            Ok(None) => {
                let message = format!("Internal error: reading a file in {place} ended without an outcome.");
                Err(Error::new(Code::FailedResponse, message))
            }
            Err(_) => {
                let message = format!(
                    "A file in {place} could not be read within {} ms. Check that its file system responds.",
                    limit.as_millis()
                );
                Err(Error::new(Code::UnableToReadSecretFile, message).with(|facts| facts.retryable = true))
            }
        }
    }
}
