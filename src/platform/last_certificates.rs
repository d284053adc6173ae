//! What a file of certificates held when it was last read.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::Pem;
use crate::locking::lock;

/// The certificates of the file that was read last.
#[derive(Debug, Default)]
pub struct LastCertificates(Mutex<Option<(PathBuf, Pem)>>);

impl LastCertificates {
    /// What this file held, if it was the last one.
    pub fn get(&self, path: &Path) -> Option<Pem> {
        let last = self.lock();
        last.as_ref()
            .filter(|(of, _)| of == path)
            .map(|(_, pem)| pem.clone())
    }

    /// Notes what this file holds.
    pub fn set(&self, path: &Path, pem: &Pem) {
        *self.lock() = Some((path.to_owned(), pem.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(PathBuf, Pem)>> {
        lock(&self.0)
    }
}
