//! Whether there is a managed identity here at all: a probe that asks for no token and holds no secret.
//!
//! Nothing is cached from it, except that IMDS has responded. At IMDS's default address a response is judged by
//! [`imds_evidence`], until one has come from IMDS or a stand-in for it. At a configured endpoint any response will do,
//! except that of a container's host, which answers in place of IMDS where there is none.

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

/// The time for a probe, unless a caller says otherwise: IMDS usually answers in milliseconds.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// For so long, a probe without a response is enough, after a token request had none either.
const MAX_SILENCE_AGE: Duration = Duration::from_mins(5);
/// The connect timeout of a probe ends with the probe. This part of the probe's time more shows which of both it was.
const GRACE: f64 = 0.05;

/// What a probe found.
#[derive(Clone, Debug)]
pub struct Availability {
    /// Whether somebody answered.
    pub available: bool,
    /// Who was asked.
    pub source: SourceName,
    /// Why not.
    pub reason: Option<String>,
}

impl TokenClient {
    /// Asks the source of this environment whether it is there. Only a wrong `timeout` is an error.
    pub fn probe(
        self: &Arc<Self>,
        application: &ApplicationContext,
        given: &UntypedValue,
        env: &Environment,
    ) -> Result<impl Future<Output = Availability> + Send + use<>, Error> {
        let limit = given.as_millis("timeout")?.unwrap_or(PROBE_TIMEOUT);
        let name = self.detect_source(&application.options, env);
        let opened = source::create(env, &application.options, &self.platform);
        let (client, application) = (self.clone(), application.clone());
        let roots = ProcessRoots::from_environment(env);
        Ok(async move {
            let answered = match opened {
                Ok(source) => match client.send_probe(&source, &application, &roots, limit).await {
                    Ok(Presence::Silent) => Err(ErrorContext::new(&*source).probe_timeout(limit)),
                    other => other,
                },
                Err(error) => Err(error),
            };
            Availability {
                available: answered.is_ok(),
                source: name,
                reason: answered.err().map(|error| error.details().message.clone()),
            }
        })
    }

    /// Probes IMDS once, however many acquisitions want to know at one time. An error says that there is no IMDS, or
    /// why it could not be asked.
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
        // A caller's own client does not tell whether its connection was accepted.
        let is_connected = context.application.transport.is_none();
        if matches!(outcome, Ok(Presence::Silent)) && !(is_connected && self.may_break_silence()) {
            outcome = Err(ErrorContext::new(&*context.source).probe_timeout(PROBE_TIMEOUT));
        }
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }

    /// One request without a secret; an error says why nothing useful is there.
    async fn send_probe(
        &self,
        source: &Arc<dyn Source>,
        application: &ApplicationContext,
        roots: &ProcessRoots,
        limit: Duration,
    ) -> Result<Presence, Error> {
        let error_context = Arc::new(ErrorContext::new(&**source));
        let prober = source.clone();
        let until = Instant::now() + limit;
        let mut request = self
            .build_request(source.request_directory(), limit, move |platform| {
                prober.probe(platform)
            })
            .await?;
        error_context.add_secrets(request.secrets.iter().cloned());
        let limiter = self.endpoint_limiters.limiter(&request.url);
        if limiter.blocked_for().is_some() {
            return Ok(Presence::Inconclusive); // It answered: with a 429.
        }
        let connect_timeout = application.options.timeouts.connect;
        let transport = application.transport.as_ref().unwrap_or(&self.native_transport);
        let mut exchange = pin!(async {
            roots.attach_to(&mut request, limit).await;
            let _place = if transport.needs_request_permit() {
                Some(limiter.acquire_probe_permit().await)
            } else {
                None
            };
            let left = until.saturating_duration_since(Instant::now());
            transport.send(&request, connect_timeout.min(left)).await
        });
        let answered = match timeout_at(until, exchange.as_mut()).await {
            Some(answered) => answered,
            None => match timeout_at(until + limit.mul_f64(GRACE), exchange).await {
                Some(answered) => answered,
                None => return Ok(Presence::Silent),
            },
        };
        let is_undecided = source.needs_probe() && !self.imds_has_responded();
        match answered {
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

    /// The error of a probe's response, within the time of the probe.
    async fn probe_error(
        &self,
        error_context: &Arc<ErrorContext>,
        response: Response,
        until: Instant,
        describe: fn(&ErrorContext, &Response, Option<&Secret>, u32, bool) -> Error,
    ) -> Error {
        let (response, reporter) = (Arc::new(response), error_context.clone());
        let limit = until.saturating_duration_since(Instant::now());
        let work = move |response: &Response| describe(&reporter, response, None, 1, false);
        let examined = self
            .examine(error_context.endpoint(), response.clone(), limit, work)
            .await;
        examined.unwrap_or_else(|| error_context.unexamined(&response, 1, false))
    }

    /// Whether IMDS, or a stand-in for it, has ever answered at its default address.
    pub(super) fn imds_has_responded(&self) -> bool {
        self.imds_has_responded.load(Ordering::Relaxed)
    }

    /// Remembers that IMDS has answered a token request, if this response is from it.
    pub(super) fn record_response(&self, source: &dyn Source, response: &Response) {
        if self.evidence(source, response) == Some(Evidence::Imds) {
            self.imds_has_responded.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something other than IMDS has answered a token request at IMDS's default address.
    pub(super) fn is_foreign(&self, source: &dyn Source, response: &Response) -> bool {
        !is_container_host(response) && self.evidence(source, response) == Some(Evidence::Foreign)
    }

    /// The same of what came in place of a response.
    pub(super) fn is_foreign_error(&self, source: &dyn Source, fault: &TransportError) -> bool {
        source.needs_probe() && !self.imds_has_responded() && is_foreign(fault)
    }

    /// What the response to a token request shows; `None` where that is not in question.
    fn evidence(&self, source: &dyn Source, response: &Response) -> Option<Evidence> {
        let is_undecided = source.needs_probe() && !self.imds_has_responded();
        is_undecided.then(|| imds_evidence(response, RequestKind::Token))
    }

    /// Remembers that not even a token request was answered.
    pub(super) fn record_silence(&self) {
        let mut until = lock(&self.imds_silent_until);
        *until = Some(Instant::now() + MAX_SILENCE_AGE);
    }

    /// Whether a probe without a response may be followed by a token request.
    fn may_break_silence(&self) -> bool {
        let until = lock(&self.imds_silent_until);
        until.is_none_or(|until| until <= Instant::now())
    }
}

/// Whether a fault shows that something listens that is not IMDS.
fn is_foreign(fault: &TransportError) -> bool {
    fault.kind == TransportErrorKind::NotHttp || is_oversized(fault)
}

/// Whether the endpoint has answered with more than a response may have.
fn is_oversized(fault: &TransportError) -> bool {
    matches!(
        fault.kind,
        TransportErrorKind::BodyTooLarge | TransportErrorKind::WireLimit
    )
}
