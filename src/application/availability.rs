//! Whether there is a managed identity here at all: a probe that asks for no token and holds no secret.
//!
//! Nothing is cached from it but that IMDS has answered. Any HTTP answer will do, but for that of a container's host, which answers in
//! place of IMDS where there is none.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::{Engine, Plan};
use crate::config::{Given, Settings};
use crate::error::Error;
use crate::http::trust::ProcessRoots;
use crate::http::{Fault, FaultKind};
use crate::machine::Environment;
use crate::source::{self, Report, Source, SourceName, is_container_host};

/// How long somebody who says nothing waits: IMDS answers in milliseconds, or never.
const PATIENCE: Duration = Duration::from_secs(1);

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

impl Engine {
    /// Asks the source of this environment whether it is there. Only a wrong `timeout` is an error.
    pub fn probe(
        self: &Arc<Self>,
        settings: &Settings,
        given: &Given,
        env: &Environment,
    ) -> Result<impl Future<Output = Availability> + Send + use<>, Error> {
        let patience = given.millis("timeout")?.unwrap_or(PATIENCE);
        let name = self.source_name(settings, env);
        let opened = source::open(env, settings, &self.machine);
        let (engine, settings, roots) = (self.clone(), settings.clone(), ProcessRoots::of(env));
        Ok(async move {
            let answered = match opened {
                Ok(source) => engine.knock(&*source, &settings, &roots, patience).await,
                Err(error) => Err(error),
            };
            Availability {
                available: answered.is_ok(),
                source: name,
                reason: answered.err().map(|error| error.facts().message.clone()),
            }
        })
    }

    /// Asks once whether IMDS is there, however many flights want to know at one time.
    pub(super) async fn probe_once(&self, plan: &Plan) -> Result<(), Error> {
        let since = Instant::now();
        let probe = self
            .probes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(plan.key.transport)
            .or_default()
            .clone();
        let mut last = probe.lock().await;
        if self.imds_answers.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some((_, error)) = last.as_ref().filter(|(ended, _)| *ended > since) {
            return Err(error.clone());
        }
        let answered = self
            .knock(&*plan.source, &plan.settings, &plan.roots, PATIENCE)
            .await;
        match &answered {
            Ok(()) => self.imds_answers.store(true, Ordering::Relaxed),
            Err(error) => *last = Some((Instant::now(), error.clone())),
        }
        answered
    }

    /// One request without a secret; an error says why nobody is there.
    async fn knock(
        &self,
        source: &dyn Source,
        settings: &Settings,
        roots: &ProcessRoots,
        patience: Duration,
    ) -> Result<(), Error> {
        let report = Report::about(source);
        let mut request = source.probe(&self.machine)?;
        let gate = self.gates.gate(&request.url);
        if gate.paused_for().is_some() {
            return Ok(()); // It answered: with a 429.
        }
        let transport = settings.transport.as_ref().unwrap_or(&self.native);
        let exchange = async {
            roots.equip(&mut request).await;
            let _place = gate.probe().await;
            transport.send(&request, settings.timeouts.connect).await
        };
        match timeout(patience, exchange).await {
            Ok(Ok(answer)) if is_container_host(&answer) => Err(report.refusal(&answer, None, 1, false)),
            Ok(
                Ok(_)
                | Err(Fault {
                    kind: FaultKind::BodyTooLarge,
                    ..
                }),
            ) => Ok(()),
            Ok(Err(fault)) => Err(report.fault(&fault, 1, false)),
            Err(_) => Err(report.no_answer(patience)),
        }
    }
}
