//! The native half of `ManagedIdentityApplication`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use napi::bindgen_prelude::{Either, Object, Unknown};
use napi::{Env, Result};
use napi_derive::napi;

use super::cache_plugin::JsCachePlugin;
use super::completions::CompletionChannel;
use super::log_sink::JsLogSink;
use super::network_client::JsTransport;
use super::observer::JsEventListener;
use super::option_records::{JsApplicationOptions, JsIdentity, JsRequestOptions};
use super::records::{AcquisitionOutcome, EnvironmentSnapshot, JsAvailability, JsFailure};
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

/// An application: its options, parsed, and which callbacks it has.
#[napi]
pub struct ManagedIdentityApplication {
    application: ApplicationContext,
    /// The number of the caller's network client, if the application has one.
    transport_id: Option<u32>,
    has_logger: bool,
    has_observers: AtomicBool,
    cache_plugin: Option<CachePlugin>,
}

/// A caller's cache plug-in: its number, and the name of this host.
struct CachePlugin {
    id: u32,
    hostname: String,
}

/// Makes an application, or says what is wrong with its options. `transport_id` is the number of the caller's network
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
    /// The context of one call, if it differs from the application's: its callbacks are found by its number.
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
    pub fn use_cache_plugin(&mut self, hostname: String, id: u32) {
        self.cache_plugin = Some(CachePlugin { id, hostname });
    }

    /// Sends the events of later calls to JavaScript.
    #[napi(catch_unwind)]
    pub fn observe(&self) {
        self.has_observers.store(true, Ordering::Relaxed);
    }

    /// Settles when the source has answered a probe or the time for it is over; or says at once what is
    /// wrong with `timeout`.
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
        let found = match TOKEN_CLIENT.probe(application, &timeout, &environment.0) {
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
