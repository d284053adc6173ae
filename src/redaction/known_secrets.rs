//! The secrets of one acquisition.

use std::sync::{Arc, Mutex, MutexGuard};

use super::Redactor;
use crate::locking::lock;
use crate::token::Secret;

/// The most secrets that are kept. Each retry can read another key or assertion.
const MAX_SECRETS: usize = 32;

/// The secrets that were sent or received in one acquisition. They are redacted from all its messages, because a response
/// may repeat a secret of any earlier request.
#[derive(Default)]
pub struct KnownSecrets(Mutex<Known>);

#[derive(Default)]
struct Known {
    secrets: Vec<Secret>,
    /// Created when first needed: most acquisitions have nothing to redact.
    redactor: Option<Arc<Redactor>>,
}

impl KnownSecrets {
    /// Adds secrets. Beyond `MAX_SECRETS` the oldest ones are removed.
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

    /// Returns a redactor for all secrets so far.
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
