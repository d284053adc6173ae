//! The native half of `ManagedIdentityApplication`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use napi::bindgen_prelude::{Either, Object, Unknown};
use napi::{Env, Result};
use napi_derive::napi;

use super::cache_plugin::{AccessFunction, CallersPlugin};
use super::completions::Arrivals;
use super::log_sink::{CallersLog, LogFunction};
use super::network_client::{CallersTransport, SendFunction};
use super::observer::{CallersObserver, EventFunction};
use super::option_records::{ConfigurationRecord, IdentityRecord, WishesRecord};
use super::records::{AcquisitionOutcome, AvailabilityRecord, EnvironmentReading, FailureRecord};
use super::untyped_value::given;
use super::{ENGINE, runtime};
use crate::acquisition::Acquired;
use crate::cache::file_store::DiskStore;
use crate::cache::persistent::Shelf;
use crate::options::Settings;
use crate::options::request::{RawRequest, TokenRequest};
use crate::platform::{CallerClock, Clock as _, SystemClock};
use crate::source::relevant_variable_count;
use crate::token::Timestamp;

type Found = Box<dyn FnOnce(Env) -> Result<AvailabilityRecord> + Send>;

/// An application: its settings, parsed.
#[napi]
pub struct ManagedIdentityApplication {
    settings: Settings,
}

/// Makes an application, or says what is wrong with its options. `send` and `write_line` are the
/// caller's network client, with its number, and logger callback, if it has them.
#[napi(catch_unwind)]
pub fn create_application(
    env: &Env,
    configuration: ConfigurationRecord<'_>,
    send: Option<SendFunction>,
    transport_id: Option<u32>,
    write_line: Option<LogFunction>,
) -> Result<Either<ManagedIdentityApplication, FailureRecord>> {
    let mut settings = match Settings::parse(&configuration.raw()?) {
        Ok(settings) => settings,
        Err(error) => return Ok(Either::B(error.into())),
    };
    if let (Some(send), Some(id)) = (send, transport_id) {
        settings = settings.with_transport(Arc::new(CallersTransport::new(env, send, id)?));
    }
    if let Some(write_line) = write_line {
        settings = settings.with_sink(Arc::new(CallersLog(write_line)));
    }
    Ok(Either::A(ManagedIdentityApplication { settings }))
}

#[napi]
impl ManagedIdentityApplication {
    /// The user-assigned identity, as a reader may see it; null for the system-assigned one.
    #[napi(catch_unwind)]
    pub fn identity(&self) -> Option<IdentityRecord> {
        IdentityRecord::of(&self.settings.identity)
    }

    /// A token or a failure at once; or, for a call whose outcome will come in under this number, how many of
    /// the environment variables, from the front, decided what is asked for. `now` is the caller's `Date.now()`, if that
    /// is a number.
    #[napi(catch_unwind)]
    pub fn acquire(
        &self,
        resource: Option<Unknown<'_>>,
        force_refresh: Option<Unknown<'_>>,
        wishes: Option<WishesRecord<'_>>,
        correlation_id: String,
        environment: &EnvironmentReading,
        arrivals: &Arrivals,
        call: u32,
        now: Option<f64>,
    ) -> Result<Either<AcquisitionOutcome, u32>> {
        let raw = RawRequest {
            resource: given(&resource)?,
            force_refresh: given(&force_refresh)?,
            ..wishes.map_or_else(|| Ok(RawRequest::default()), |wishes| wishes.raw())?
        };
        let mut resource = String::new();
        let acquired = TokenRequest::parse(&raw, correlation_id).and_then(|request| {
            request.resource.as_str().clone_into(&mut resource);
            ENGINE.acquire(&self.settings, request, &environment.0, callers_clock(now))
        });
        Ok(match acquired {
            Ok(Acquired::Pending(waiter)) => {
                let variables =
                    relevant_variable_count(&self.settings, waiter.source(), waiter.is_verified());
                arrivals.expect(call, waiter, resource)?;
                Either::B(u32::try_from(variables).unwrap_or(u32::MAX))
            }
            Ok(Acquired::Served(served)) => Either::A(AcquisitionOutcome::of(Ok(served), resource)),
            Err(error) => Either::A(AcquisitionOutcome::of(Err(error), resource)),
        })
    }

    /// Keeps tokens in the directory that the options name, which must belong to the user of the process.
    #[napi(catch_unwind)]
    pub fn keep_in_directory(&mut self, hostname: String) {
        if let Some(path) = &self.settings.cache_directory {
            let store = Arc::new(DiskStore::at(path, ENGINE.machine().clone()));
            self.settings = self.settings.clone().with_shelf(Shelf { store, hostname });
        }
    }

    /// Keeps tokens where a caller's plug-in, which has this number, keeps them.
    #[napi(catch_unwind)]
    pub fn keep_with_plugin(&mut self, hostname: String, access: AccessFunction, id: u32) {
        let store = Arc::new(CallersPlugin::new(access, id));
        self.settings = self.settings.clone().with_shelf(Shelf { store, hostname });
    }

    /// Tells an observer what happens from now on; only the first one is told.
    #[napi(catch_unwind)]
    pub fn observe(&self, notice: EventFunction) {
        self.settings.observation.begin(Box::new(CallersObserver(notice)));
    }

    /// Settles when the source has answered a probe or the time for it is over; or says at once what is
    /// wrong with `timeout`.
    #[napi(catch_unwind, ts_return_type = "Promise<AvailabilityRecord> | FailureRecord")]
    pub fn probe<'env>(
        &self,
        env: &'env Env,
        timeout: Option<Unknown<'_>>,
        environment: &EnvironmentReading,
    ) -> Result<Either<Object<'env>, FailureRecord>> {
        let timeout = given(&timeout)?;
        let found = match ENGINE.probe(&self.settings, &timeout, &environment.0) {
            Ok(found) => found,
            Err(error) => return Ok(Either::B(error.into())),
        };
        let (deferred, promise) = env.create_deferred::<AvailabilityRecord, Found>()?;
        runtime::handle()?.spawn(async move {
            let found = found.await;
            deferred.resolve(Box::new(move |_| Ok(found.into())));
        });
        Ok(Either::A(promise))
    }

    /// The name of the source that this environment leads to.
    #[napi(catch_unwind)]
    pub fn source_name(&self, environment: &EnvironmentReading) -> &'static str {
        ENGINE.source_name(&self.settings, &environment.0).as_str()
    }

    /// Whether the environment has a source that this application may use.
    #[napi(catch_unwind)]
    pub fn has_source(&self, environment: &EnvironmentReading) -> bool {
        ENGINE.has_source(&self.settings, &environment.0)
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
fn callers_clock(now: Option<f64>) -> CallerClock {
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
