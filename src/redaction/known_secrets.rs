//! All secrets of one acquisition.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Redactor;
use crate::locking::lock;
use crate::token::Secret;

/// An acquisition that is tried again and again reads keys and assertions anew; so many are remembered.
const MAX_SECRETS: usize = 32;

/// What was sent or received in one acquisition and must not show up in anything that is said about it, since each
/// response may repeat what any earlier request held.
#[derive(Default)]
pub struct KnownSecrets(Mutex<Known>);

#[derive(Default)]
struct Known {
    secrets: Vec<Secret>,
    /// Made when it is needed first: most acquisitions have nothing to redact.
    redactor: Option<Arc<Redactor>>,
}

impl KnownSecrets {
    /// Adds secrets; the oldest make room if there are too many.
    pub fn add(&self, secrets: impl IntoIterator<Item = Secret>) {
        let mut known = self.lock();
        for secret in secrets {
            if known
                .secrets
                .iter()
                .any(|other| other.expose_secret() == secret.expose_secret())
            {
                continue;
            }
            if known.secrets.len() == MAX_SECRETS {
                known.secrets.remove(0);
            }
            known.secrets.push(secret);
            known.redactor = None;
        }
    }

    /// A redactor for all secrets so far.
    pub fn redactor(&self) -> Arc<Redactor> {
        let mut known = self.lock();
        let Known { secrets, redactor } = &mut *known;
        redactor
            .get_or_insert_with(|| Arc::new(Redactor::new(secrets)))
            .clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        lock(&self.0)
    }
}
