//! The native half of `ManagedIdentityApplication`, and of a call that must wait.

use napi::bindgen_prelude::{Either, Object};
use napi::{Env, Result};
use napi_derive::napi;
use tokio::sync::oneshot;

use super::records::{
    AcquisitionOutcome, ConfigurationRecord, EnvironmentRecord, FailureRecord, RequestRecord, environment,
};
use super::{ENGINE, runtime};
use crate::application::Acquired;
use crate::cache::flight::Waiter;
use crate::config::Settings;
use crate::request::TokenRequest;

type Resolver = Box<dyn FnOnce(Env) -> Result<AcquisitionOutcome> + Send>;

/// An application: its settings, parsed.
#[napi]
pub struct ManagedIdentityApplication {
    settings: Settings,
}

/// Makes an application, or says what is wrong with its options.
#[napi(catch_unwind)]
pub fn create_application(
    configuration: ConfigurationRecord<'_>,
) -> Result<Either<ManagedIdentityApplication, FailureRecord>> {
    Ok(match Settings::parse(&configuration.raw()?) {
        Ok(settings) => Either::A(ManagedIdentityApplication { settings }),
        Err(error) => Either::B(error.into()),
    })
}

#[napi]
impl ManagedIdentityApplication {
    /// A token or a failure at once, or a call that must wait.
    #[napi(catch_unwind)]
    pub fn acquire(
        &self,
        request: RequestRecord<'_>,
        correlation_id: String,
        variables: EnvironmentRecord,
    ) -> Result<Either<AcquisitionOutcome, PendingAcquisition>> {
        let (raw, env) = (request.raw()?, environment(variables));
        let mut resource = String::new();
        let acquired = TokenRequest::parse(&raw, correlation_id).and_then(|request| {
            request.resource.as_str().clone_into(&mut resource);
            ENGINE.acquire(&self.settings, request, &env)
        });
        Ok(match acquired {
            Ok(Acquired::Pending(waiter)) => Either::B(PendingAcquisition {
                waiting: Some((waiter, resource)),
                release: None,
            }),
            Ok(Acquired::Served(served)) => Either::A(AcquisitionOutcome::of(Ok(served), resource)),
            Err(error) => Either::A(AcquisitionOutcome::of(Err(error), resource)),
        })
    }

    /// The name of the source that these variables lead to.
    #[napi(catch_unwind)]
    pub fn source_name(&self, variables: EnvironmentRecord) -> &'static str {
        ENGINE
            .source_name(&self.settings, &environment(variables))
            .as_str()
    }
}

/// A call that must wait for the network.
#[napi]
pub struct PendingAcquisition {
    waiting: Option<(Waiter, String)>,
    release: Option<oneshot::Sender<()>>,
}

#[napi]
impl PendingAcquisition {
    /// Settles when there is a token or a failure, or at once when it is released. To be called once.
    #[napi(catch_unwind, ts_return_type = "Promise<AcquisitionOutcome>")]
    pub fn outcome<'env>(&mut self, env: &'env Env) -> Result<Object<'env>> {
        let (deferred, promise) = env.create_deferred::<AcquisitionOutcome, Resolver>()?;
        let (release, released) = oneshot::channel();
        self.release = Some(release);
        let waiting = self.waiting.take();
        runtime::handle()?.spawn(async move {
            let outcome = match waiting {
                Some((waiter, resource)) => tokio::select! {
                    outcome = waiter.wait() => AcquisitionOutcome::of(outcome, resource),
                    Ok(()) = released => AcquisitionOutcome::Released,
                },
                None => AcquisitionOutcome::Released,
            };
            deferred.resolve(Box::new(move |_| Ok(outcome)));
        });
        Ok(promise)
    }

    /// Lets go of it: nobody waits any more. What it waits for goes on.
    #[napi(catch_unwind)]
    pub fn release(&mut self) {
        if let Some(release) = self.release.take() {
            let _ = release.send(());
        }
    }
}
