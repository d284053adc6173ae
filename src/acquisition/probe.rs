//! The probe: a request without a secret, which shows whether the endpoint of a managed identity exists.
//!
//! Only the fact that IMDS has responded is remembered. At IMDS's default address, [`imds_evidence`] decides whether a
//! response is from IMDS or a stand-in for it, until one such response has been received. At a configured endpoint any
//! response counts, except the 403 that a container host returns in place of IMDS.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::client::TokenClient;
use super::context::{AcquisitionContext, ApplicationContext};
use super::presence::Presence;
use crate::error::Error;
use crate::http::timer::timeout_at;
use crate::http::tls::ProcessRoots;
use crate::http::{Response, TransportError, TransportErrorKind};
use crate::locking::lock;
use crate::options::UntypedValue;
use crate::platform::Environment;
use crate::source::{
    self, ErrorContext, Evidence, RequestKind, Source, SourceName, imds_evidence, is_container_host,
};
use crate::token::Secret;

/// The default time limit of a probe. IMDS usually responds within milliseconds.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// After a token request without a response, a probe without a response is not followed by another token request for
/// this long.
const MAX_SILENCE_AGE: Duration = Duration::from_mins(5);
/// The connect timeout of a probe ends at the same time as the probe. The probe waits for a further 5 % of its time
/// limit, so that a connect timeout can be told from a missing response.
const GRACE: f64 = 0.05;

/// The result of [`TokenClient::probe`].
#[derive(Clone, Debug)]
pub struct Availability {
    /// Whether the source responded.
    pub available: bool,
    /// The source of the environment.
    pub source: SourceName,
    /// Why the source is not available.
    pub reason: Option<String>,
}

impl TokenClient {
    /// Probes the source of this environment. Only an invalid `timeout` is an error.
    pub fn probe(
        self: &Arc<Self>,
        application: &ApplicationContext,
        timeout: &UntypedValue,
        env: &Environment,
    ) -> Result<impl Future<Output = Availability> + Send + use<>, Error> {
        let limit = timeout.as_millis("timeout")?.unwrap_or(PROBE_TIMEOUT);
        let name = self.detect_source(&application.options, env);
        let created = source::create(env, &application.options, &self.platform);
        let (client, application) = (self.clone(), application.clone());
        let roots = ProcessRoots::from_environment(env);
        Ok(async move {
            let outcome = match created {
                Ok(source) => match client.send_probe(&source, &application, &roots, limit).await {
                    Ok(Presence::Silent) => Err(ErrorContext::new(&*source).probe_timeout(limit)),
                    other => other,
                },
                Err(error) => Err(error),
            };
            Availability {
                available: outcome.is_ok(),
                source: name,
                reason: outcome.err().map(|error| error.details().message.clone()),
            }
        })
    }

    /// Probes IMDS, with one probe for all acquisitions of the same time. Returns an error if IMDS does not exist or
    /// could not be probed.
    pub(super) async fn probe_coalesced(&self, context: &AcquisitionContext) -> Result<Presence, Error> {
        let since = Instant::now();
        let probe = lock(&self.probes)
            .entry(context.key.transport)
            .or_default()
            .clone();
        let mut last = probe.lock().await;
        if self.imds_has_responded() {
            return Ok(Presence::Responded);
        }
        if let Some((_, outcome)) = last.as_ref().filter(|(ended, _)| *ended > since) {
            return outcome.clone();
        }
        let mut outcome = self
            .send_probe(
                &context.source,
                &context.application,
                &context.roots,
                PROBE_TIMEOUT,
            )
            .await;
        // A custom network client does not report whether a connection was accepted.
        let is_connected = context.application.transport.is_none();
        if matches!(outcome, Ok(Presence::Silent)) && !(is_connected && self.may_request_after_silence()) {
            outcome = Err(ErrorContext::new(&*context.source).probe_timeout(PROBE_TIMEOUT));
        }
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }

    /// Sends one probe. Returns an error if it shows that the source does not exist.
    async fn send_probe(
        &self,
        source: &Arc<dyn Source>,
        application: &ApplicationContext,
        roots: &ProcessRoots,
        limit: Duration,
    ) -> Result<Presence, Error> {
        let error_context = Arc::new(ErrorContext::new(&**source));
        let probed_source = source.clone();
        let until = Instant::now() + limit;
        let mut request = self
            .build_request(source.request_directory(), limit, move |platform| {
                probed_source.probe(platform)
            })
            .await?;
        error_context.add_secrets(request.secrets.iter().cloned());
        let limiter = self.endpoint_limiters.limiter(&request.url);
        if limiter.blocked_for().is_some() {
            return Ok(Presence::Inconclusive); // The endpoint has responded, with a Retry-After.
        }
        let connect_timeout = application.options.timeouts.connect;
        let transport = application.transport.as_ref().unwrap_or(&self.native_transport);
        let mut exchange = pin!(async {
            roots.attach_to(&mut request, limit).await;
            let _permit = if transport.needs_request_permit() {
                Some(limiter.acquire_probe_permit().await)
            } else {
                None
            };
            let left = until.saturating_duration_since(Instant::now());
            transport.send(&request, connect_timeout.min(left)).await
        });
        let outcome = match timeout_at(until, exchange.as_mut()).await {
            Some(outcome) => outcome,
            None => match timeout_at(until + limit.mul_f64(GRACE), exchange).await {
                Some(outcome) => outcome,
                None => return Ok(Presence::Silent),
            },
        };
        let is_undecided = source.needs_probe() && !self.imds_has_responded();
        match outcome {
            Ok(response) if is_container_host(&response) => Err(self
                .probe_error(&error_context, response, until, ErrorContext::response_error)
                .await),
            Ok(response) if is_undecided => match imds_evidence(&response, RequestKind::Probe) {
                Evidence::Imds => {
                    self.imds_has_responded.store(true, Ordering::Relaxed);
                    Ok(Presence::Responded)
                }
                Evidence::Foreign => Err(self
                    .probe_error(&error_context, response, until, ErrorContext::foreign_response)
                    .await),
                Evidence::Inconclusive => Ok(Presence::Inconclusive),
            },
            Ok(_) => Ok(Presence::Responded),
            Err(fault) if is_oversized(&fault) && !is_undecided => Ok(Presence::Responded),
            Err(fault) if fault.kind == TransportErrorKind::ConnectTimeout && limit <= connect_timeout => {
                Err(error_context.probe_timeout(limit))
            }
            Err(fault) => {
                let error = error_context.transport_error(&fault, 1, false);
                let is_absent = is_undecided
                    && (is_foreign(&fault) || fault.kind == TransportErrorKind::CustomClientTimeout);
                Err(error.map_details(|details| details.unavailable |= is_absent))
            }
        }
    }

    /// Creates the error for the response to a probe, within the time limit of the probe.
    async fn probe_error(
        &self,
        error_context: &Arc<ErrorContext>,
        response: Response,
        until: Instant,
        describe: fn(&ErrorContext, &Response, Option<&Secret>, u32, bool) -> Error,
    ) -> Error {
        let (response, context) = (Arc::new(response), error_context.clone());
        let limit = until.saturating_duration_since(Instant::now());
        let work = move |response: &Response| describe(&context, response, None, 1, false);
        let examined = self
            .examine(error_context.endpoint(), response.clone(), limit, work)
            .await;
        examined.unwrap_or_else(|| error_context.unexamined(&response, 1, false))
    }

    /// Returns whether IMDS, or a stand-in for it, has responded at its default address.
    pub(super) fn imds_has_responded(&self) -> bool {
        self.imds_has_responded.load(Ordering::Relaxed)
    }

    /// Remembers that IMDS has responded, if the response to a token request is from IMDS.
    pub(super) fn record_response(&self, source: &dyn Source, response: &Response) {
        if self.evidence(source, response) == Some(Evidence::Imds) {
            self.imds_has_responded.store(true, Ordering::Relaxed);
        }
    }

    /// Returns whether the response to a token request at IMDS's default address is from another server.
    pub(super) fn is_foreign(&self, source: &dyn Source, response: &Response) -> bool {
        !is_container_host(response) && self.evidence(source, response) == Some(Evidence::Foreign)
    }

    /// Returns whether the error of a token request at IMDS's default address shows another server.
    pub(super) fn is_foreign_error(&self, source: &dyn Source, fault: &TransportError) -> bool {
        source.needs_probe() && !self.imds_has_responded() && is_foreign(fault)
    }

    /// Returns what the response to a token request shows; `None` if the source is known to exist.
    fn evidence(&self, source: &dyn Source, response: &Response) -> Option<Evidence> {
        let is_undecided = source.needs_probe() && !self.imds_has_responded();
        is_undecided.then(|| imds_evidence(response, RequestKind::Token))
    }

    /// Remembers that a token request had no response either.
    pub(super) fn record_silence(&self) {
        let mut until = lock(&self.imds_silent_until);
        *until = Some(Instant::now() + MAX_SILENCE_AGE);
    }

    /// Returns whether a probe without a response may be followed by a token request.
    fn may_request_after_silence(&self) -> bool {
        let until = lock(&self.imds_silent_until);
        until.is_none_or(|until| until <= Instant::now())
    }
}

/// Returns whether an error shows that a server other than IMDS listens at the address.
fn is_foreign(fault: &TransportError) -> bool {
    fault.kind == TransportErrorKind::NotHttp || is_oversized(fault)
}

/// Returns whether the response exceeds a size limit.
fn is_oversized(fault: &TransportError) -> bool {
    matches!(
        fault.kind,
        TransportErrorKind::BodyTooLarge | TransportErrorKind::WireLimit
    )
}
