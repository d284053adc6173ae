//! A host to ask: sources opened over an environment that is given, and a machine without a disk.

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

/// The wall time of every check.
pub const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

/// What every file of this machine holds.
pub const KEY: &str = "a-key-of-the-agent";

/// One look at the disk.
#[derive(Debug, PartialEq, Eq)]
pub struct Look {
    /// Which file.
    pub path: PathBuf,
    /// How much of it at most.
    pub limit: usize,
    /// Whether a link would have been followed.
    pub follow_links: bool,
}

/// A disk on which there is a file wherever somebody looks; it remembers where that was.
#[derive(Default)]
pub struct Disk(Mutex<Vec<Look>>);

impl Disk {
    /// Where somebody looked.
    pub fn looks(&self) -> Vec<Look> {
        std::mem::take(&mut self.0.lock().expect("no check panics with it"))
    }
}

impl Files for Disk {
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
        let look = Look {
            path,
            limit,
            follow_links,
        };
        self.0.lock().expect("no check panics with it").push(look);
        Ok(KEY.as_bytes().to_vec().into())
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        NOW
    }
}

/// A machine with this disk, on which no time passes.
pub fn platform(disk: &Arc<Disk>) -> Platform {
    Platform {
        clock: Arc::new(Stopped),
        files: disk.clone(),
        random: Arc::new(FixedRandom(0.0)),
        blocking: BlockingPool::default(),
    }
}

/// The source that these variables lead to, for an application without options.
pub fn open<const N: usize>(variables: [(&str, &str); N]) -> Result<Arc<dyn Source>, Error> {
    let options = ApplicationOptions::parse(&RawApplicationOptions::default()).expect("no options are valid");
    source::create(
        &Environment::from(variables),
        &options,
        &platform(&Arc::default()),
    )
}

/// What a token for this resource is asked for with.
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

/// An answer with this body to a request.
pub fn response(request: &Request, status: u16, body: &[u8]) -> Response {
    Response {
        status,
        headers: ResponseHeaders::default(),
        connection: None,
        body: body.to_vec().into(),
        secrets: request.secrets.clone(),
    }
}
