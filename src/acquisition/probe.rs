//! Whether there is a managed identity here at all: a probe that asks for no token and holds no secret.
//!
//! Nothing is cached from it, except that IMDS has responded. At IMDS's default address a response is judged by
//! [`imds_evidence`], until one has come from IMDS or a stand-in for it. At a configured endpoint any response will do,
//! except that of a container's host, which answers in place of IMDS where there is none.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, Plan};
use crate::error::Error;
use crate::http::timer::timeout_at;
use crate::http::tls::ProcessRoots;
use crate::http::{Fault, FaultKind, Response};
use crate::options::{Given, Settings};
use crate::platform::Environment;
use crate::source::{
    self, Evidence, Report, RequestKind, Source, SourceName, imds_evidence, is_container_host,
};

/// The time for a probe, unless a caller says otherwise: IMDS usually answers in milliseconds.
pub(super) const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// For so long, a probe without a response is enough, after a token request had none either.
const SILENCE: Duration = Duration::from_mins(5);
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

/// What a probe showed of an endpoint that may have a managed identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presence {
    /// The endpoint has responded.
    Responded,
    /// A response came that IMDS or something else may have sent.
    Inconclusive,
    /// The connection was accepted, and no response came in time.
    Silent,
}

impl Engine {
    /// Asks the source of this environment whether it is there. Only a wrong `timeout` is an error.
    pub fn probe(
        self: &Arc<Self>,
        settings: &Settings,
        given: &Given,
        env: &Environment,
    ) -> Result<impl Future<Output = Availability> + Send + use<>, Error> {
        let limit = given.millis("timeout")?.unwrap_or(PROBE_TIMEOUT);
        let name = self.source_name(settings, env);
        let opened = source::open(env, settings, &self.machine);
        let (engine, settings, roots) = (self.clone(), settings.clone(), ProcessRoots::of(env));
        Ok(async move {
            let answered = match opened {
                Ok(source) => match engine.send_probe(&source, &settings, &roots, limit).await {
                    Ok(Presence::Silent) => Err(Report::about(&*source).no_answer(limit)),
                    other => other,
                },
                Err(error) => Err(error),
            };
            Availability {
                available: answered.is_ok(),
                source: name,
                reason: answered.err().map(|error| error.facts().message.clone()),
            }
        })
    }

    /// Probes IMDS once, however many acquisitions want to know at one time. An error says that there is no IMDS, or
    /// why it could not be asked.
    pub(super) async fn probe_once(&self, plan: &Plan) -> Result<Presence, Error> {
        let since = Instant::now();
        let probe = self
            .probes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(plan.key.transport)
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
            .send_probe(&plan.source, &plan.settings, &plan.roots, PROBE_TIMEOUT)
            .await;
        // A caller's own client does not tell whether its connection was accepted.
        let is_connected = plan.settings.transport.is_none();
        if matches!(outcome, Ok(Presence::Silent)) && !(is_connected && self.may_break_silence()) {
            outcome = Err(Report::about(&*plan.source).no_answer(PROBE_TIMEOUT));
        }
        *last = Some((Instant::now(), outcome.clone()));
        outcome
    }

    /// One request without a secret; an error says why nothing useful is there.
    async fn send_probe(
        &self,
        source: &Arc<dyn Source>,
        settings: &Settings,
        roots: &ProcessRoots,
        limit: Duration,
    ) -> Result<Presence, Error> {
        let report = Report::about(&**source);
        let prober = source.clone();
        let until = Instant::now() + limit;
        let mut request = self
            .build_request(source.directory_of_request(), limit, move |machine| {
                prober.probe(machine)
            })
            .await?;
        report.add_secrets(request.secrets.iter().cloned());
        let gate = self.gates.gate(&request.url);
        if gate.paused_for().is_some() {
            return Ok(Presence::Inconclusive); // It answered: with a 429.
        }
        let transport = settings.transport.as_ref().unwrap_or(&self.native);
        let mut exchange = pin!(async {
            roots.equip(&mut request, limit).await;
            let _place = if transport.takes_a_place() {
                Some(gate.probe().await)
            } else {
                None
            };
            let left = until.saturating_duration_since(Instant::now());
            transport
                .send(&request, settings.timeouts.connect.min(left))
                .await
        });
        let answered = match timeout_at(until, exchange.as_mut()).await {
            Some(answered) => answered,
            None => match timeout_at(until + limit.mul_f64(GRACE), exchange).await {
                Some(answered) => answered,
                None => return Ok(Presence::Silent),
            },
        };
        let is_undecided = source.may_be_nowhere() && !self.imds_has_responded();
        match answered {
            Ok(response) if is_container_host(&response) => Err(report.refusal(&response, None, 1, false)),
            Ok(response) if is_undecided => match imds_evidence(&response, RequestKind::Probe) {
                Evidence::Imds => {
                    self.imds_has_responded.store(true, Ordering::Relaxed);
                    Ok(Presence::Responded)
                }
                Evidence::Foreign => Err(report.foreign(&response, None, 1, false)),
                Evidence::Inconclusive => Ok(Presence::Inconclusive),
            },
            Ok(_) => Ok(Presence::Responded),
            Err(fault) if is_oversized(&fault) && !is_undecided => Ok(Presence::Responded),
            Err(fault) if fault.kind == FaultKind::ConnectTimeout && limit <= settings.timeouts.connect => {
                Err(report.no_answer(limit))
            }
            Err(fault) => {
                let error = report.fault(&fault, 1, false);
                let is_absent =
                    is_undecided && (is_foreign(&fault) || fault.kind == FaultKind::CallersTimeout);
                Err(error.with(|facts| facts.unavailable |= is_absent))
            }
        }
    }

    /// Whether IMDS, or a stand-in for it, has ever answered at its default address.
    pub(super) fn imds_has_responded(&self) -> bool {
        self.imds_has_responded.load(Ordering::Relaxed)
    }

    /// Remembers that IMDS has answered a token request, if this response is from it.
    pub(super) fn note_response(&self, source: &dyn Source, response: &Response) {
        if self.evidence(source, response) == Some(Evidence::Imds) {
            self.imds_has_responded.store(true, Ordering::Relaxed);
        }
    }

    /// Whether something other than IMDS has answered a token request at IMDS's default address.
    pub(super) fn is_foreign(&self, source: &dyn Source, response: &Response) -> bool {
        !is_container_host(response) && self.evidence(source, response) == Some(Evidence::Foreign)
    }

    /// The same of what came in place of a response.
    pub(super) fn is_foreign_fault(&self, source: &dyn Source, fault: &Fault) -> bool {
        source.may_be_nowhere() && !self.imds_has_responded() && is_foreign(fault)
    }

    /// What the response to a token request shows; `None` where that is not in question.
    fn evidence(&self, source: &dyn Source, response: &Response) -> Option<Evidence> {
        let is_undecided = source.may_be_nowhere() && !self.imds_has_responded();
        is_undecided.then(|| imds_evidence(response, RequestKind::Token))
    }

    /// Remembers that not even a token request was answered.
    pub(super) fn note_silence(&self) {
        let mut until = self
            .imds_silent_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *until = Some(Instant::now() + SILENCE);
    }

    /// Whether a probe without a response may be followed by a token request.
    fn may_break_silence(&self) -> bool {
        let until = self
            .imds_silent_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| until <= Instant::now())
    }
}

/// Whether a fault shows that something listens that is not IMDS.
fn is_foreign(fault: &Fault) -> bool {
    fault.kind == FaultKind::NotHttp || is_oversized(fault)
}

/// Whether the endpoint has answered with more than a response may have.
fn is_oversized(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::BodyTooLarge | FaultKind::WireLimit)
}
