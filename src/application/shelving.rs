//! A flight and the cache outside of this process: what is there is taken before the source is asked, and what the
//! source gave is kept there. Nothing that goes wrong in it, or never ends, withholds a token.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::pilot::{Brought, Pilot};
use crate::cache::flight::Reason;
use crate::cache::shelf::{Guard, Place, Shelf};
use crate::error::Error;
use crate::token::{Age, Token};

/// The cache may take so long, or half of the time that is left, before the source is asked.
const LOOKING: Duration = Duration::from_secs(10);

/// A token's place in a cache outside of this process, held while the flight works at it.
pub(super) struct Shelving<'a> {
    shelf: &'a Shelf,
    place: Place,
    guard: Option<Guard>,
    /// A valid token from there, but not for long.
    spare: Option<Arc<Token>>,
}

impl Pilot {
    /// Looks into the cache outside of this process, if there is one, then asks the source.
    pub(super) async fn chain(&self) -> Result<(Brought, Option<Shelving<'_>>), Error> {
        let Some(shelf) = &self.plan.settings.shelf else {
            return Ok((self.ask().await?, None));
        };
        let mut shelving = Shelving {
            shelf,
            place: Place::of(&self.plan.key.key, shelf, &self.engine.machine),
            guard: None,
            spare: None,
        };
        let (looking, patience) = (Instant::now(), LOOKING.min(self.flight.deadline.left() / 2));
        let looked = timeout(patience, self.look(&mut shelving)).await;
        self.flight.progress.looked(looking.elapsed());
        match looked {
            Ok(Err(error)) => Err(self.flight.report.signed(error, 0)),
            Ok(Ok(Some(token))) => Ok((Brought::shelved(token), None)),
            Ok(Ok(None)) | Err(_) => match (self.ask().await, &shelving.spare) {
                // What is valid is not withheld because no other can be had.
                (Err(_), Some(spare)) if spare.expires_on > self.engine.machine.clock.now() => {
                    Ok((Brought::shelved(spare.clone()), None))
                }
                (asked, _) => Ok((asked?, Some(shelving))),
            },
        }
    }

    /// Looks for a token in the cache outside of this process. Where there is none, whoever returns from here is the one
    /// process that asks for it, if the cache can see to that.
    async fn look(&self, shelving: &mut Shelving<'_>) -> Result<Option<Arc<Token>>, Error> {
        let store = &shelving.shelf.store;
        store.open().await?;
        if let Some(token) = self.shelved(shelving).await {
            return Ok(Some(token));
        }
        shelving.guard = store.hold(&shelving.place.entry).await;
        match shelving.guard {
            // Whoever held it may have brought a token.
            Some(_) => Ok(self.shelved(shelving).await),
            None => Ok(None),
        }
    }

    /// A token from the cache outside of this process that would do here. One that is valid, but not for long, is left
    /// with the waiters for the time when no other can be had.
    async fn shelved(&self, shelving: &mut Shelving<'_>) -> Option<Arc<Token>> {
        // Who wants another token than the cached one does not want that of another process either.
        let refresh = match self.flight.reason {
            Reason::Forced | Reason::Claims(_) => return None,
            Reason::Refresh => true,
            Reason::Empty => false,
        };
        let Shelving { shelf, place, .. } = shelving;
        let record = shelf.store.load(&place.entry).await?;
        let now = self.engine.machine.clock.now();
        let since = self.engine.lock().cleared_at;
        let token = Arc::new(place.token(&record, since, now)?);
        match token.age(now, self.engine.spread(&self.plan.key.key)) {
            Age::Fresh => Some(token),
            // What would only take the place of its like is no refresh.
            _ if refresh => None,
            Age::Ageing => Some(token),
            Age::Expired => None,
            Age::NearlyExpired => {
                shelving.spare = Some(token.clone());
                self.flight.fall_back_on(self.unstored(&Brought::shelved(token)));
                None
            }
        }
    }

    /// Has the cache outside of this process keep a token, unless it is no longer wanted.
    pub(super) async fn keep(&self, token: Arc<Token>, shelving: Shelving<'_>) {
        let Shelving {
            shelf, place, guard, ..
        } = shelving;
        if !self.is_wanted(&self.engine.lock()) {
            return;
        }
        let keeping = Instant::now();
        let record = place.record(&token, self.engine.machine.clock.now());
        shelf.store.save(&place.entry, record).await;
        drop(guard);
        self.flight.progress.looked(keeping.elapsed());
    }
}
