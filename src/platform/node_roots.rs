//! The root certificates that Node.js trusts, which JavaScript supplies.
//!
//! Each JavaScript thread has its own: `tls.setDefaultCACertificates` changes those of one worker only. Reading them takes
//! milliseconds, so they are read only when an https request needs them.

use std::fmt;
use std::future::Future;
use std::hash::{Hash, Hasher};
use std::pin::Pin;
use std::sync::Arc;

use ring::digest::{SHA256, digest};

/// Certificates as PEM text. Compares and hashes by the SHA-256 of the text.
#[derive(Clone)]
pub struct Pem {
    text: Arc<[u8]>,
    digest: [u8; 32],
}

impl Pem {
    /// Creates a value from the text of any number of certificates.
    pub fn new(text: impl Into<Arc<[u8]>>) -> Self {
        let text = text.into();
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(digest(&SHA256, &text).as_ref());
        Self { text, digest: sha256 }
    }

    /// Returns the text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

impl PartialEq for Pem {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for Pem {}

impl Hash for Pem {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pem({} bytes)", self.text.len())
    }
}

/// The root certificates that Node.js trusts in one thread.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NodeRoots {
    /// The certificates.
    pub certificates: Pem,
    /// Whether the process has chosen them (`tls.setDefaultCACertificates`, `--use-openssl-ca`, `--use-system-ca`), so
    /// that no other roots are trusted.
    pub is_exclusive: bool,
}

/// Reads the root certificates of one JavaScript thread.
pub trait NodeRootsReader: Send + Sync {
    /// Returns the current roots; `None` if the thread can no longer supply them.
    fn read(&self) -> Pin<Box<dyn Future<Output = Option<NodeRoots>> + Send + '_>>;
}
