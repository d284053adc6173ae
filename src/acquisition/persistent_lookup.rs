//! A flight and the cache outside of this process: what is there is taken before the source is asked, and what the
//! source gave is kept there. Nothing that goes wrong in it, or never ends, withholds a token.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::task::{Brought, Keep, Pilot, Stop};
use crate::acquisition::in_flight::Reason;
use crate::cache::persistent::{Guard, Place, Shelf};
use crate::error::Error;
use crate::token::{Age, Timestamp, Token};

/// The cache may take so long, or half of the time that is left, before the source is asked.
const LOOKING: Duration = Duration::from_secs(10);

/// A token's place in a cache outside of this process, held while the flight works at it.
pub(super) struct Shelving<'a> {
    shelf: &'a Shelf,
    place: Place,
    guard: Option<Guard>,
    /// A valid token from there, but not for long, and when it was kept.
    spare: Option<(Arc<Token>, Timestamp)>,
    /// Whether tokens are safe there.
    is_open: bool,
    /// When the look ended.
    looked: Timestamp,
}

impl Pilot {
    /// Looks into the cache outside of this process, if there is one, then asks the source.
    pub(super) async fn chain(&self) -> Result<(Brought, Option<Shelving<'_>>), Stop> {
        let Some(shelf) = &self.plan.settings.shelf else {
            return Ok((self.ask().await?, None));
        };
        let looking = Instant::now();
        let until = looking + LOOKING.min(self.flight.deadline.left() / 2);
        let found = Place::find(&self.plan.key.key, shelf, &self.engine.machine);
        let Ok(Some(place)) = timeout_at(until, found).await else {
            self.flight.progress.looked(looking.elapsed());
            return Ok((self.ask().await?, None));
        };
        let mut shelving = Shelving {
            shelf,
            place,
            guard: None,
            spare: None,
            is_open: false,
            looked: self.plan.began,
        };
        let looked = timeout_at(until, self.look(&mut shelving)).await;
        self.flight.progress.looked(looking.elapsed());
        shelving.looked = self.now().system;
        match looked {
            Ok(Err(error)) => Err(self.flight.report.signed(error, 0).into()),
            Ok(Ok(Some(brought))) => Ok((brought, None)),
            Ok(Ok(None)) | Err(_) => match (self.ask().await, &shelving.spare) {
                // What is valid is not withheld because no other can be had.
                (Err(_), Some((spare, saved_at))) if spare.is_valid(self.now()) => {
                    Ok((Brought::shelved(spare.clone(), *saved_at), None))
                }
                (asked, _) => Ok((asked?, shelving.is_open.then_some(shelving))),
            },
        }
    }

    /// Looks for a token in the cache outside of this process. Where there is none, whoever returns from here is the one
    /// process that asks for it, if the cache can see to that.
    async fn look(&self, shelving: &mut Shelving<'_>) -> Result<Option<Brought>, Error> {
        let store = &shelving.shelf.store;
        shelving.is_open = store.open().await?;
        if !shelving.is_open {
            return Ok(None);
        }
        if let Some(brought) = self.shelved(shelving).await {
            return Ok(Some(brought));
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
    async fn shelved(&self, shelving: &mut Shelving<'_>) -> Option<Brought> {
        // Who wants another token than the cached one does not want that of another process either.
        let refresh = match self.flight.reason {
            Reason::Forced | Reason::Claims(_) => return None,
            Reason::Refresh => true,
            Reason::Empty => false,
        };
        let Shelving { shelf, place, .. } = shelving;
        let record = shelf.store.load(&place.entry).await?;
        let clocks = self.now();
        let now = clocks.system;
        let since = self.engine.lock().unwanted_before(&self.plan.key.key);
        let (token, saved_at) = place.token(&record, since, now)?;
        let token = Arc::new(token);
        let brought = Brought::shelved(token.clone(), saved_at);
        match token.age(
            clocks.latest(token.offset_ms),
            self.engine.spread(&self.plan.key.key),
        ) {
            Age::Fresh => Some(brought),
            // What would only take the place of its like is no refresh.
            _ if refresh => None,
            Age::Ageing => Some(brought),
            Age::Expired => None,
            Age::NearlyExpired => {
                self.flight.fall_back_on(self.unstored(&brought));
                shelving.spare = Some((token, saved_at));
                None
            }
        }
    }

    /// Has the cache outside of this process keep a token, unless it is no longer wanted, or a later one is there.
    pub(super) async fn keep(&self, keep: Keep, shelving: Shelving<'_>) {
        let Shelving {
            shelf,
            place,
            guard,
            looked,
            ..
        } = shelving;
        let keeping = Instant::now();
        let now = self.engine.machine.clock.now();
        // Somebody else may have lost patience with whoever holds the guard.
        if guard.is_some()
            && let Some(record) = shelf.store.load(&place.entry).await
            && place.token(&record, Some(looked), now).is_some()
        {
            return;
        }
        if !self.is_wanted(&self.engine.lock()) {
            return;
        }
        let record = match keep {
            Keep::Token(token) => place.record(&token, now),
            Keep::Nothing => Zeroizing::default(),
        };
        shelf.store.save(&place.entry, record).await;
        drop(guard);
        self.flight.progress.looked(keeping.elapsed());
    }
}
