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

/// An application: its options, parsed.
#[napi]
pub struct ManagedIdentityApplication {
    application: ApplicationContext,
}

/// Makes an application, or says what is wrong with its options. `send` and `write_line` are the
/// caller's network client, with its number, and logger callback, if it has them.
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
    /// The user-assigned identity, as a reader may see it; null for the system-assigned one.
    #[napi(catch_unwind)]
    pub fn identity(&self) -> Option<JsIdentity> {
        JsIdentity::of(&self.application.options.identity)
    }

    /// A token or a failure at once; or, for a call whose outcome will come in under this number, how many of
    /// the environment variables, from the front, decided what is asked for. `now` is the caller's `Date.now()`, if that
    /// is a number.
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

    /// Keeps tokens in the directory that the options name, which must belong to the user of the process.
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

    /// Keeps tokens where a caller's plug-in, which has this number, keeps them.
    #[napi(catch_unwind)]
    pub fn use_cache_plugin(&mut self, hostname: String, access: AccessFunction, id: u32) {
        let store = Arc::new(JsCachePlugin::new(access, id));
        self.application = self
            .application
            .clone()
            .with_persistent_cache(PersistentCache { store, hostname });
    }

    /// Tells an observer what happens from now on; only the first one is told.
    #[napi(catch_unwind)]
    pub fn observe(&self, notice: EventFunction) {
        self.application
            .event_listener
            .set(Box::new(JsEventListener(notice)));
    }

    /// Settles when the source has answered a probe or the time for it is over; or says at once what is
    /// wrong with `timeout`.
    #[napi(catch_unwind, ts_return_type = "Promise<JsAvailability> | JsFailure")]
    pub fn probe<'env>(
        &self,
        env: &'env Env,
        timeout: Option<Unknown<'_>>,
        environment: &EnvironmentSnapshot,
    ) -> Result<Either<Object<'env>, JsFailure>> {
        let timeout = from_js(&timeout)?;
        let found = match TOKEN_CLIENT.probe(&self.application, &timeout, &environment.0) {
            Ok(found) => found,
            Err(error) => return Ok(Either::B(error.into())),
        };
        let (deferred, promise) = env.create_deferred::<JsAvailability, ProbeResult>()?;
        runtime::handle()?.spawn(async move {
            let found = found.await;
            deferred.resolve(Box::new(move |_| Ok(found.into())));
        });
        Ok(Either::A(promise))
    }

    /// The name of the source that this environment leads to.
    #[napi(catch_unwind)]
    pub fn source_name(&self, environment: &EnvironmentSnapshot) -> &'static str {
        TOKEN_CLIENT
            .detect_source(&self.application.options, &environment.0)
            .as_str()
    }

    /// Whether the environment has a source that this application may use.
    #[napi(catch_unwind)]
    pub fn has_source(&self, environment: &EnvironmentSnapshot) -> bool {
        TOKEN_CLIENT.has_source(&self.application.options, &environment.0)
    }
}

thread_local! {
    /// The number of this thread of JavaScript.
    static THREAD: u32 = {
        static LAST: AtomicU32 = AtomicU32::new(0);
        LAST.fetch_add(1, Ordering::Relaxed)
    };
}

/// The caller's clock; the system's in place of one that does not tell the time.
fn caller_clock(now: Option<f64>) -> CallerClock {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a date of JavaScript's is less than 2^53 ms"
    )]
    let told = now
        .filter(|now| now.is_finite())
        .map(|now| Timestamp::from_millis(now as i64));
    CallerClock {
        now: told.unwrap_or_else(|| SystemClock.now()),
        thread: THREAD.with(|thread| *thread),
    }
}
