//! Keeps the certificates of the file that was read last.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use super::Pem;
use crate::locking::lock;

/// The path and the certificates of the file that was read last.
#[derive(Debug, Default)]
pub struct LastCertificates(Mutex<Option<(PathBuf, Pem)>>);

impl LastCertificates {
    /// Returns the certificates of a file, if it was the last one that was read.
    pub fn get(&self, path: &Path) -> Option<Pem> {
        let last = self.lock();
        last.as_ref()
            .filter(|(last_path, _)| last_path == path)
            .map(|(_, pem)| pem.clone())
    }

    /// Records the certificates of a file.
    pub fn set(&self, path: &Path, pem: &Pem) {
        *self.lock() = Some((path.to_owned(), pem.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Option<(PathBuf, Pem)>> {
        lock(&self.0)
    }
}
