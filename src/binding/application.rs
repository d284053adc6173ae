//! The native half of `ManagedIdentityApplication`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use napi::bindgen_prelude::{Either, Object, Unknown};
use napi::{Env, Result};
use napi_derive::napi;

use super::cache_plugin::JsCachePlugin;
use super::completions::CompletionChannel;
use super::environment::EnvironmentSnapshot;
use super::log_sink::JsLogSink;
use super::network_client::JsTransport;
use super::observer::JsEventListener;
use super::types::{
    AcquisitionOutcome, JsApplicationOptions, JsAvailability, JsFailure, JsIdentity, JsRequestOptions,
};
use super::untyped_value::from_js;
use super::{TOKEN_CLIENT, runtime};
use crate::acquisition::{Acquisition, ApplicationContext};
use crate::cache::file_store::FileStore;
use crate::cache::persistent::PersistentCache;
use crate::events::EventListenerSlot;
use crate::options::ApplicationOptions;
use crate::options::request::{RawRequest, TokenRequest};
use crate::platform::{Clock as _, SystemClock};
use crate::source::relevant_variable_count;
use crate::token::{CallerClock, Timestamp};

type ProbeResult = Box<dyn FnOnce(Env) -> Result<JsAvailability> + Send>;

/// An application with its parsed options, and which callbacks it has.
#[napi]
pub struct ManagedIdentityApplication {
    application: ApplicationContext,
    /// The id of the custom network client, if the application has one.
    transport_id: Option<u32>,
    has_logger: bool,
    has_observers: AtomicBool,
    cache_plugin: Option<CachePlugin>,
}

/// A cache plug-in in JavaScript: its id, and the name of this host.
struct CachePlugin {
    id: u32,
    hostname: String,
}

/// Creates an application. Returns a failure if its options are invalid. `transport_id` is the id of the custom network
/// client, if the application has one; `has_logger` is whether it has a logger callback.
#[napi(catch_unwind)]
pub fn create_application(
    configuration: JsApplicationOptions<'_>,
    transport_id: Option<u32>,
    has_logger: bool,
) -> Result<Either<ManagedIdentityApplication, JsFailure>> {
    Ok(match ApplicationOptions::parse(&configuration.raw()?) {
        Ok(options) => Either::A(ManagedIdentityApplication {
            application: ApplicationContext::new(options),
            transport_id,
            has_logger,
            has_observers: AtomicBool::new(false),
            cache_plugin: None,
        }),
        Err(error) => Either::B(error.into()),
    })
}

impl ManagedIdentityApplication {
    /// Returns the context of one call; `None` if the application has no callbacks, so that the call needs no other context
    /// than the application's. Callbacks are found by the number of the call.
    fn context_of_call(
        &self,
        env: &Env,
        completions: &CompletionChannel,
        call: u32,
    ) -> Result<Option<ApplicationContext>> {
        let has_observers = self.has_observers.load(Ordering::Relaxed);
        let has_plugin = self.cache_plugin.is_some();
        if self.transport_id.is_none() && !self.has_logger && !has_observers && !has_plugin {
            return Ok(None);
        }
        let handle = completions.callback_handle(call);
        let mut context = self.application.clone();
        if let Some(id) = self.transport_id {
            context = context.with_transport(Arc::new(JsTransport::new(env, handle.clone(), id)?));
        }
        if self.has_logger {
            context = context.with_log_sink(Arc::new(JsLogSink(handle.clone())));
        }
        if let Some(CachePlugin { id, hostname }) = &self.cache_plugin {
            context = context.with_persistent_cache(PersistentCache {
                store: Arc::new(JsCachePlugin::new(handle.clone(), *id)),
                hostname: hostname.clone(),
            });
        }
        if has_observers {
            context.event_listener = EventListenerSlot::default();
            context.event_listener.set(Box::new(JsEventListener(handle)));
        }
        Ok(Some(context))
    }
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
        env: &Env,
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
        let own = self.context_of_call(env, completions, call)?;
        let application = own.as_ref().unwrap_or(&self.application);
        let mut resource = String::new();
        let acquired = TokenRequest::parse(&raw, correlation_id).and_then(|request| {
            request.resource.as_str().clone_into(&mut resource);
            TOKEN_CLIENT.acquire(application, &request, &environment.0, caller_clock(now))
        });
        Ok(match acquired {
            Ok(Acquisition::Pending(waiter)) => {
                let variables =
                    relevant_variable_count(&application.options, waiter.source(), waiter.is_verified());
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
    pub fn use_cache_plugin(&mut self, hostname: String, id: u32) {
        self.cache_plugin = Some(CachePlugin { id, hostname });
    }

    /// Sends the events of later calls to the JavaScript layer.
    #[napi(catch_unwind)]
    pub fn observe(&self) {
        self.has_observers.store(true, Ordering::Relaxed);
    }

    /// Probes the source. Returns a failure if `timeout` is invalid, and otherwise a promise that resolves when the source
    /// has responded or the time limit has passed.
    #[napi(catch_unwind, ts_return_type = "Promise<JsAvailability> | JsFailure")]
    pub fn probe<'env>(
        &self,
        env: &'env Env,
        timeout: Option<Unknown<'_>>,
        environment: &EnvironmentSnapshot,
        completions: &CompletionChannel,
        call: u32,
    ) -> Result<Either<Object<'env>, JsFailure>> {
        let timeout = from_js(&timeout)?;
        let own = self.context_of_call(env, completions, call)?;
        let application = own.as_ref().unwrap_or(&self.application);
        let probe = match TOKEN_CLIENT.probe(application, &timeout, &environment.0) {
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
