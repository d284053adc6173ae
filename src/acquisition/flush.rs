//! [`TokenClient::flush`]: waits for the acquisitions that are under way.

use std::time::Duration;

use tokio::time::Instant;

use super::client::TokenClient;
use crate::error::Error;
use crate::http::timer::timeout_at;
use crate::options::UntypedValue;

/// The default time limit. App Service on Linux waits 5 s between SIGTERM and SIGKILL.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(5);

impl TokenClient {
    /// Returns a future that waits for the acquisitions that are under way, with their writes to persistent caches, and
    /// that resolves with whether all of them ended within the time limit; `None` if none is under way. Only an invalid
    /// `timeout` is an error.
    pub fn flush(
        &self,
        timeout: &UntypedValue,
    ) -> Result<Option<impl Future<Output = bool> + Send + use<>>, Error> {
        let deadline = Instant::now() + timeout.as_millis("timeout")?.unwrap_or(FLUSH_TIMEOUT);
        let ended = self.running_tasks.ended();
        Ok(ended.map(|ended| async move { timeout_at(deadline, ended).await.is_some() }))
    }
}
