//! Sources of a given environment, and a platform with fake files and a fixed clock.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use managed_identity_native::error::Error;
use managed_identity_native::http::{Request, Response, ResponseHeaders};
use managed_identity_native::options::identity::Identity;
use managed_identity_native::options::resource::Resource;
use managed_identity_native::options::{ApplicationOptions, RawApplicationOptions, UntypedValue};
use managed_identity_native::platform::{
    BlockingPool, Clock, Environment, Files, FixedRandom, Platform, ReadError,
};
use managed_identity_native::source::{self, Source, TokenQuery};
use managed_identity_native::token::Timestamp;

/// The wall-clock time of every check.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The content of every file.
pub const KEY: &str = "a-key-of-the-agent";

/// One read of a file.
#[derive(Debug, PartialEq, Eq)]
pub struct FileRead {
    /// The path.
    pub path: PathBuf,
    /// The limit in bytes.
    pub limit: usize,
    /// Whether symbolic links may be followed.
    pub follow_links: bool,
}

/// A file system in which every path is a file. It records the reads.
#[derive(Default)]
pub struct RecordingFiles(Mutex<Vec<FileRead>>);

impl RecordingFiles {
    /// Takes the recorded reads.
    pub fn take_reads(&self) -> Vec<FileRead> {
        std::mem::take(&mut self.0.lock().expect("not poisoned"))
    }
}

impl Files for RecordingFiles {
    fn is_regular(&self, _: &Path) -> bool {
        false
    }

    fn read(
        &self,
        path: &Path,
        limit: usize,
        follow_links: bool,
    ) -> Result<zeroize::Zeroizing<Vec<u8>>, ReadError> {
        let path = path.to_owned();
        let file_read = FileRead {
            path,
            limit,
            follow_links,
        };
        self.0.lock().expect("not poisoned").push(file_read);
        Ok(KEY.as_bytes().to_vec().into())
    }
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// Returns a platform with these files, on which no time passes.
pub fn platform(files: &Arc<RecordingFiles>) -> Platform {
    Platform {
        clock: Arc::new(FixedClock),
        files: files.clone(),
        random: Arc::new(FixedRandom(0.0)),
        blocking: BlockingPool::default(),
    }
}

/// Creates the source of these variables, for an application without options.
pub fn create_source<const N: usize>(variables: [(&str, &str); N]) -> Result<Arc<dyn Source>, Error> {
    let options = ApplicationOptions::parse(&RawApplicationOptions::default()).expect("no options are valid");
    source::create(
        &Environment::from(variables),
        &options,
        &platform(&Arc::default()),
    )
}

/// Returns the query of a token for this resource.
pub fn query(resource: &str) -> TokenQuery {
    TokenQuery {
        resource: Resource::parse(&UntypedValue::String(resource.into())).expect("a resource"),
        identity: Identity::SystemAssigned,
        capabilities: None,
        claims: None,
        refused_token_hash: None,
        correlation_id: "00000000-0000-4000-8000-000000000000".into(),
    }
}

/// Returns a response with this body to a request.
pub fn response(request: &Request, status: u16, body: &[u8]) -> Response {
    Response {
        status,
        headers: ResponseHeaders::default(),
        connection: None,
        body: body.to_vec().into(),
        secrets: request.secrets.clone(),
    }
}
