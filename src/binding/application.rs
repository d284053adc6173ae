//! The native half of `ManagedIdentityApplication`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use napi::bindgen_prelude::{Either, Object, Unknown};
use napi::{Env, Result};
use napi_derive::napi;

use super::cache_plugin::{AccessFunction, JsCachePlugin};
use super::completions::CompletionChannel;
use super::environment::EnvironmentSnapshot;
use super::log_sink::{JsLogSink, LogFunction};
use super::network_client::{JsTransport, SendFunction};
use super::observer::{EventFunction, JsEventListener};
use super::types::{
    AcquisitionOutcome, JsApplicationOptions, JsAvailability, JsFailure, JsIdentity, JsRequestOptions,
};
use super::untyped_value::from_js;
use super::{TOKEN_CLIENT, runtime};
use crate::acquisition::{Acquisition, ApplicationContext};
use crate::cache::file_store::FileStore;
use crate::cache::persistent::PersistentCache;
use crate::options::ApplicationOptions;
use crate::options::request::{RawRequest, TokenRequest};
use crate::platform::{Clock as _, SystemClock};
use crate::source::relevant_variable_count;
use crate::token::{CallerClock, Timestamp};

type ProbeResult = Box<dyn FnOnce(Env) -> Result<JsAvailability> + Send>;

/// An application with its parsed options.
#[napi]
pub struct ManagedIdentityApplication {
    application: ApplicationContext,
}

/// Creates an application. Returns a failure if its options are invalid. `send` is the custom network client, with its
/// `transport_id`, and `write_line` the logger callback; both are optional.
#[napi(catch_unwind)]
pub fn create_application(
    env: &Env,
    configuration: JsApplicationOptions<'_>,
    send: Option<SendFunction>,
    transport_id: Option<u32>,
    write_line: Option<LogFunction>,
) -> Result<Either<ManagedIdentityApplication, JsFailure>> {
    let mut application = match ApplicationOptions::parse(&configuration.raw()?) {
        Ok(options) => ApplicationContext::new(options),
        Err(error) => return Ok(Either::B(error.into())),
    };
    if let (Some(send), Some(id)) = (send, transport_id) {
        application = application.with_transport(Arc::new(JsTransport::new(env, send, id)?));
    }
    if let Some(write_line) = write_line {
        application = application.with_log_sink(Arc::new(JsLogSink(write_line)));
    }
    Ok(Either::A(ManagedIdentityApplication { application }))
}

#[napi]
impl ManagedIdentityApplication {
    /// Returns the user-assigned identity, for display; null for the system-assigned one.
    #[napi(catch_unwind)]
    pub fn identity(&self) -> Option<JsIdentity> {
        JsIdentity::of(&self.application.options.identity)
    }

    /// Returns a token or a failure at once. For a call whose outcome `completions` will receive with the number `call`, it
    /// returns how many of the environment variables, counted from the first, are relevant to the request. `now` is the
    /// caller's `Date.now()`, if that is a number.
    #[napi(catch_unwind)]
    pub fn acquire(
        &self,
        resource: Option<Unknown<'_>>,
        force_refresh: Option<Unknown<'_>>,
        request_options: Option<JsRequestOptions<'_>>,
        correlation_id: String,
        environment: &EnvironmentSnapshot,
        completions: &CompletionChannel,
        call: u32,
        now: Option<f64>,
    ) -> Result<Either<AcquisitionOutcome, u32>> {
        let raw = RawRequest {
            resource: from_js(&resource)?,
            force_refresh: from_js(&force_refresh)?,
            ..request_options.map_or_else(
                || Ok(RawRequest::default()),
                |request_options| request_options.raw(),
            )?
        };
        let mut resource = String::new();
        let acquired = TokenRequest::parse(&raw, correlation_id).and_then(|request| {
            request.resource.as_str().clone_into(&mut resource);
            TOKEN_CLIENT.acquire(&self.application, &request, &environment.0, caller_clock(now))
        });
        Ok(match acquired {
            Ok(Acquisition::Pending(waiter)) => {
                let variables =
                    relevant_variable_count(&self.application.options, waiter.source(), waiter.is_verified());
                completions.register(call, waiter, resource)?;
                Either::B(u32::try_from(variables).unwrap_or(u32::MAX))
            }
            Ok(Acquisition::Ready(acquired)) => Either::A(AcquisitionOutcome::of(Ok(acquired), resource)),
            Err(error) => Either::A(AcquisitionOutcome::of(Err(error), resource)),
        })
    }

    /// Persists tokens in the directory of the options, which must belong to the user of the process.
    #[napi(catch_unwind)]
    pub fn use_cache_directory(&mut self, hostname: String) {
        if let Some(path) = &self.application.options.cache_directory {
            let store = Arc::new(FileStore::new(path, TOKEN_CLIENT.platform().clone()));
            self.application = self
                .application
                .clone()
                .with_persistent_cache(PersistentCache { store, hostname });
        }
    }

    /// Persists tokens with a cache plug-in, which has this id.
    #[napi(catch_unwind)]
    pub fn use_cache_plugin(&mut self, hostname: String, access: AccessFunction, id: u32) {
        let store = Arc::new(JsCachePlugin::new(access, id));
        self.application = self
            .application
            .clone()
            .with_persistent_cache(PersistentCache { store, hostname });
    }

    /// Sets the listener of the application's events. Only the first call has an effect.
    #[napi(catch_unwind)]
    pub fn observe(&self, on_event: EventFunction) {
        self.application
            .event_listener
            .set(Box::new(JsEventListener(on_event)));
    }

    /// Probes the source. Returns a failure if `timeout` is invalid, and otherwise a promise that resolves when the source
    /// has responded or the time limit has passed.
    #[napi(catch_unwind, ts_return_type = "Promise<JsAvailability> | JsFailure")]
    pub fn probe<'env>(
        &self,
        env: &'env Env,
        timeout: Option<Unknown<'_>>,
        environment: &EnvironmentSnapshot,
    ) -> Result<Either<Object<'env>, JsFailure>> {
        let timeout = from_js(&timeout)?;
        let probe = match TOKEN_CLIENT.probe(&self.application, &timeout, &environment.0) {
            Ok(probe) => probe,
            Err(error) => return Ok(Either::B(error.into())),
        };
        let (deferred, promise) = env.create_deferred::<JsAvailability, ProbeResult>()?;
        runtime::handle()?.spawn(async move {
            let availability = probe.await;
            deferred.resolve(Box::new(move |_| Ok(availability.into())));
        });
        Ok(Either::A(promise))
    }

    /// Returns the name of the source that this environment selects.
    #[napi(catch_unwind)]
    pub fn source_name(&self, environment: &EnvironmentSnapshot) -> &'static str {
        TOKEN_CLIENT
            .detect_source(&self.application.options, &environment.0)
            .as_str()
    }

    /// Returns whether the environment has a source that this application may use.
    #[napi(catch_unwind)]
    pub fn has_source(&self, environment: &EnvironmentSnapshot) -> bool {
        TOKEN_CLIENT.has_source(&self.application.options, &environment.0)
    }
}

thread_local! {
    /// The number of this JavaScript thread.
    static THREAD: u32 = {
        static LAST: AtomicU32 = AtomicU32::new(0);
        LAST.fetch_add(1, Ordering::Relaxed)
    };
}

/// Returns the caller's clock. The system's clock replaces one that does not return a finite number.
fn caller_clock(now: Option<f64>) -> CallerClock {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a JavaScript date is less than 2^53 ms"
    )]
    let caller_now = now
        .filter(|now| now.is_finite())
        .map(|now| Timestamp::from_millis(now as i64));
    CallerClock {
        now: caller_now.unwrap_or_else(|| SystemClock.now()),
        thread: THREAD.with(|thread| *thread),
    }
}
