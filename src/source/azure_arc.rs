//! A server with Azure Arc's agent: who can read a key file of the agent's may have a token.
//!
//! Specification: <https://learn.microsoft.com/azure/azure-arc/servers/managed-identity-authentication>

use std::path::{Path, PathBuf};

use super::www_authenticate::parse_challenges;
use super::{
    Endpoint, METADATA_HEADER, MSI_RESOURCE_ID, Source, SourceDescriptor, SourceName, TokenQuery,
    TokenResponse,
};
use crate::error::{Code, Error};
use crate::http::retry_policy::{self, RetryPolicy};
use crate::http::{Request, Response};
use crate::options::ApplicationOptions;
use crate::options::identity::Identity;
use crate::platform::{Environment, Platform, ReadError, variable};
use crate::redaction::Redactor;
use crate::token::Secret;

const API_VERSION: &str = "2020-06-01";
const DEFAULT_ENDPOINT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
const UNAUTHORIZED: u16 = 401;
const SCHEME: &str = "basic";
const REALM: &str = "realm";
const KEY_EXTENSION: &str = ".key";
/// A key has some 100 bytes; MSAL refuses files over this.
const MAX_KEY_BYTES: usize = 4_096;
/// So much of a path is quoted.
const MAX_SHOWN_PATH: usize = 200;
const AUTHORIZATION: &str = "Authorization";
/// What was written to a connection stays in its buffer until more is: this one's is given up with the answer.
const CONNECTION_CLOSE: (&str, &str) = ("Connection", "close");

const LINUX_AGENTS: [&str; 2] = ["/opt/azcmagent/bin/himds", "/var/opt/azcmagent/bin/himds"];
const WINDOWS_AGENT: &str = r"AzureConnectedMachineAgent\himds.exe";
const LINUX_KEYS: &str = "/var/opt/azcmagent/tokens/";
const WINDOWS_KEYS: &str = r"AzureConnectedMachineAgent\Tokens\";

pub(super) const DESCRIPTOR: SourceDescriptor = SourceDescriptor {
    name: SourceName::AzureArc,
    detect: |env, _, platform| {
        env.has_all(&[variable::IDENTITY_ENDPOINT, variable::IMDS_ENDPOINT])
            || agent_paths(env)
                .iter()
                .any(|path| platform.files.is_regular(path))
    },
    create,
};

fn agent_paths(env: &Environment) -> Vec<PathBuf> {
    if cfg!(target_os = "linux") {
        LINUX_AGENTS.iter().map(PathBuf::from).collect()
    } else if cfg!(windows) {
        env.read(variable::PROGRAM_FILES)
            .map(|folder| Path::new(folder).join(WINDOWS_AGENT))
            .into_iter()
            .collect()
    } else {
        Vec::new()
    }
}

fn create(env: &Environment, _: &ApplicationOptions) -> Result<Box<dyn Source>, Error> {
    let both = env.has_all(&[variable::IDENTITY_ENDPOINT, variable::IMDS_ENDPOINT]);
    let address = env
        .read(variable::IDENTITY_ENDPOINT)
        .filter(|_| both)
        .unwrap_or(DEFAULT_ENDPOINT);
    let mut endpoint = Endpoint::parse(
        variable::IDENTITY_ENDPOINT,
        &Code::IdentityEndpointMalformed,
        address,
    )?;
    if let Some(metadata) = env.read(variable::IMDS_ENDPOINT).filter(|_| both) {
        Endpoint::parse(variable::IMDS_ENDPOINT, &Code::ImdsEndpointMalformed, metadata)?;
    }
    if endpoint.host() == "localhost" {
        // The agent listens on IPv4 only, while `localhost` may be ::1 first.
        endpoint = endpoint.with_host("127.0.0.1");
    }
    Ok(Box::new(AzureArc {
        endpoint,
        keys: key_directory(env),
    }))
}

/// The folder of the agent's keys, ending in a separator; or why there is none.
fn key_directory(env: &Environment) -> Result<String, (Code, &'static str)> {
    if cfg!(target_os = "linux") {
        Ok(LINUX_KEYS.to_owned())
    } else if cfg!(windows) {
        let folder = env.read(variable::PROGRAM_DATA);
        folder
            .map(|folder| format!(r"{}\{WINDOWS_KEYS}", folder.trim_end_matches('\\')))
            .ok_or((
                Code::InvalidFilePath,
                "The environment variable ProgramData, below which Azure Arc's agent keeps its keys, is not set.",
            ))
    } else {
        Err((
            Code::PlatformNotSupported,
            "Azure Arc's agent exists on Linux and Windows only.",
        ))
    }
}

struct AzureArc {
    endpoint: Endpoint,
    keys: Result<String, (Code, &'static str)>,
}

impl Source for AzureArc {
    fn name(&self) -> SourceName {
        DESCRIPTOR.name
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn policy(&self) -> &'static RetryPolicy {
        &retry_policy::DEFAULT
    }

    fn request(&self, query: &TokenQuery, _: &Platform) -> Result<Request, Error> {
        let url = self
            .endpoint
            .with_query(&query.query_parameters(API_VERSION, query.identity_parameter(MSI_RESOURCE_ID)));
        Ok(Request::get(url).header(METADATA_HEADER.0, METADATA_HEADER.1))
    }

    fn challenge_directory(&self, response: &Response) -> Option<&Path> {
        let keys = self.keys.as_ref().ok()?;
        (response.status == UNAUTHORIZED).then(|| Path::new(keys))
    }

    fn answer_challenge(
        &self,
        query: &TokenQuery,
        response: &Response,
        platform: &Platform,
    ) -> Result<Option<Request>, Error> {
        if response.status != UNAUTHORIZED {
            return Ok(None);
        }
        let path = parse_basic_realm(&response.headers.www_authenticate)?;
        let shown = Redactor::new(&response.secrets).redact(&path, MAX_SHOWN_PATH);
        let key = self.read_key(&path, &shown, platform)?;
        let header = Secret::new(format!("Basic {}", key.expose_secret()));
        Ok(Some(
            self.request(query, platform)?
                .header(CONNECTION_CLOSE.0, CONNECTION_CLOSE.1)
                .sensitive_header(AUTHORIZATION, header)
                .with_secret(key),
        ))
    }

    fn verify_response(&self, query: &TokenQuery, token_response: &TokenResponse) -> Result<(), Error> {
        let Identity::UserAssigned { kind, id } = &query.identity else {
            return Ok(());
        };
        if token_response.is_for_identity(*kind, id) {
            return Ok(());
        }
        let message = "Azure Arc's agent did not confirm that its token is for the identity in \
                       managedIdentityIdParams; an older agent answers for the machine's own. Update the agent, or \
                       leave the option out.";
        Err(Error::new(Code::UserAssignedNotConfirmed, message))
    }
}

impl AzureArc {
    /// Reads the key that a challenge names, if it is where the agent puts its keys.
    fn read_key(&self, path: &str, shown: &str, platform: &Platform) -> Result<Secret, Error> {
        let refused = |code, message: String| Err(Error::new(code, message));
        let folder = match &self.keys {
            Ok(folder) => folder,
            Err((code, why)) => return refused(code.clone(), (*why).to_owned()),
        };
        if !path.ends_with(KEY_EXTENSION) {
            return refused(
                Code::InvalidFileExtension,
                format!("Azure Arc's challenge names {shown}, which does not end in {KEY_EXTENSION}."),
            );
        }
        let name = path.strip_prefix(folder.as_str()).unwrap_or_default();
        if name.is_empty() || name.contains(['/', '\\', '\0']) {
            return refused(
                Code::InvalidFilePath,
                format!("Azure Arc's challenge names {shown}, which is not a file in {folder}."),
            );
        }
        let key = platform
            .files
            .read(Path::new(path), MAX_KEY_BYTES, false)
            .or_else(|fault| key_file_error(shown, fault))?;
        let text = std::str::from_utf8(&key).unwrap_or_default().trim_end();
        if text.is_empty() || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return refused(
                Code::InvalidSecret,
                format!("Azure Arc's key file {shown} holds no key."),
            );
        }
        Ok(Secret::new(text.to_owned()))
    }
}

fn key_file_error<T>(path: &str, fault: ReadError) -> Result<T, Error> {
    let (code, why) = match fault {
        ReadError::TooLarge => (
            Code::InvalidSecret,
            format!("has more than {MAX_KEY_BYTES} bytes"),
        ),
        ReadError::NotAFile => (Code::UnableToReadSecretFile, "is no regular file".to_owned()),
        ReadError::Io(error) => (Code::UnableToReadSecretFile, format!("cannot be read ({error})")),
        ReadError::PermissionDenied(error) => {
            let group = if cfg!(windows) {
                "Hybrid agent extension applications"
            } else {
                "himds"
            };
            let why = format!("cannot be read ({error}): add this process's user to the group \"{group}\"");
            (Code::UnableToReadSecretFile, why)
        }
    };
    Err(Error::new(code, format!("Azure Arc's key file {path} {why}.")))
}

/// The realm of the first Basic challenge that has one: the path of a key.
fn parse_basic_realm(lines: &[String]) -> Result<String, Error> {
    if lines.iter().all(|line| line.trim().is_empty()) {
        let message = "Azure Arc's agent answered 401 without a WWW-Authenticate header.";
        return Err(Error::new(Code::ChallengeMissing, message));
    }
    let challenges = parse_challenges(lines);
    let realms = challenges
        .iter()
        .filter(|challenge| challenge.has_scheme(SCHEME))
        .filter_map(|challenge| challenge.parameter(REALM))
        .map(str::trim);
    let path = realms.into_iter().find(|path| !path.is_empty());
    path.map(str::to_owned).ok_or_else(|| {
        let message =
            "Azure Arc's agent sent a WWW-Authenticate header without a challenge \"Basic realm=<path>\".";
        Error::new(Code::ChallengeUnsupported, message)
    })
}
