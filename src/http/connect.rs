//! A limit of time for each connection, by whoever asked for it.
//!
//! reqwest has one limit for each client, and each client has connections of its own. Callers with different limits
//! share theirs: the limit comes along with the request that a connection is made for.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task_local;
use tokio::time::timeout;
use tower_layer::Layer;
use tower_service::Service;

type Failure = Box<dyn std::error::Error + Send + Sync>;

task_local! {
    static LIMIT: Duration;
}

/// Does something that may take so long for each connection that it needs.
pub(super) async fn within<T>(limit: Duration, doing: impl Future<Output = T>) -> T {
    LIMIT.scope(limit, doing).await
}

/// There was no connection in time.
#[derive(Debug)]
pub(super) struct NotInTime;

impl fmt::Display for NotInTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no connection in time")
    }
}

impl std::error::Error for NotInTime {}

/// Keeps connections to the limit of [`within`].
#[derive(Clone)]
pub(super) struct InTime;

impl<S> Layer<S> for InTime {
    type Service = Limited<S>;

    fn layer(&self, connector: S) -> Limited<S> {
        Limited(connector)
    }
}

/// A connector whose connections come in time or not at all.
#[derive(Clone)]
pub(super) struct Limited<S>(S);

impl<S, T> Service<T> for Limited<S>
where
    S: Service<T, Error = Failure>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, Failure>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: T) -> Self::Future {
        // Called by the task of the request; what it begins may end in another.
        let limit = LIMIT.try_get().unwrap_or(Duration::MAX);
        let connecting = self.0.call(target);
        Box::pin(async move { timeout(limit, connecting).await.map_err(|_| NotInTime)? })
    }
}
