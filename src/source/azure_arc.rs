//! Azure Arc: a process gets a token if it can read the key file that the agent names in a challenge.
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
/// The limit of MSAL; a key has about 100 bytes.
const MAX_KEY_BYTES: usize = 4_096;
/// The most characters of a path that a message quotes.
const MAX_SHOWN_PATH: usize = 200;
const AUTHORIZATION: &str = "Authorization";
/// The connection is closed after the response, because its write buffer would keep the key until the next request.
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
            .map(|path| Path::new(path).join(WINDOWS_AGENT))
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

/// Returns the agent's key directory, ending in a separator; or the reason why there is none.
fn key_directory(env: &Environment) -> Result<String, (Code, &'static str)> {
    if cfg!(target_os = "linux") {
        Ok(LINUX_KEYS.to_owned())
    } else if cfg!(windows) {
        let program_data = env.read(variable::PROGRAM_DATA);
        program_data
            .map(|path| format!(r"{}\{WINDOWS_KEYS}", path.trim_end_matches('\\')))
            .ok_or((
                Code::InvalidFilePath,
                "The environment variable ProgramData, which locates the key files of Azure Arc's agent, is not set.",
            ))
    } else {
        Err((
            Code::PlatformNotSupported,
            "Azure Arc's agent is available on Linux and Windows only.",
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
                       managedIdentityIdParams. An older agent ignores the option and returns a token of the machine's \
                       own identity. Update the agent, or remove the option.";
        Err(Error::new(Code::UserAssignedNotConfirmed, message))
    }
}

impl AzureArc {
    /// Reads the key file that a challenge names. The file must be directly in the agent's key directory.
    fn read_key(&self, path: &str, shown: &str, platform: &Platform) -> Result<Secret, Error> {
        let fail = |code, message: String| Err(Error::new(code, message));
        let directory = match &self.keys {
            Ok(directory) => directory,
            Err((code, reason)) => return fail(code.clone(), (*reason).to_owned()),
        };
        if !path.ends_with(KEY_EXTENSION) {
            return fail(
                Code::InvalidFileExtension,
                format!("Azure Arc's challenge names {shown}, which does not end in {KEY_EXTENSION}."),
            );
        }
        let name = path.strip_prefix(directory.as_str()).unwrap_or_default();
        if name.is_empty() || name.contains(['/', '\\', '\0']) {
            return fail(
                Code::InvalidFilePath,
                format!("Azure Arc's challenge names {shown}, which is not a file in {directory}."),
            );
        }
        let key = platform
            .files
            .read(Path::new(path), MAX_KEY_BYTES, false)
            .or_else(|error| key_file_error(shown, error))?;
        let text = std::str::from_utf8(&key).unwrap_or_default().trim_end();
        if text.is_empty() || !text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
            return fail(
                Code::InvalidSecret,
                format!("Azure Arc's key file {shown} does not contain a key."),
            );
        }
        Ok(Secret::new(text.to_owned()))
    }
}

fn key_file_error<T>(path: &str, error: ReadError) -> Result<T, Error> {
    let (code, reason) = match error {
        ReadError::TooLarge => (
            Code::InvalidSecret,
            format!("has more than {MAX_KEY_BYTES} bytes"),
        ),
        ReadError::NotAFile => (Code::UnableToReadSecretFile, "is not a regular file".to_owned()),
        ReadError::Io(error) => (Code::UnableToReadSecretFile, format!("cannot be read ({error})")),
        ReadError::PermissionDenied(error) => {
            let group = if cfg!(windows) {
                "Hybrid agent extension applications"
            } else {
                "himds"
            };
            let reason =
                format!("cannot be read ({error}): add this process's user to the group \"{group}\"");
            (Code::UnableToReadSecretFile, reason)
        }
    };
    Err(Error::new(code, format!("Azure Arc's key file {path} {reason}.")))
}

/// Returns the realm of the first Basic challenge that has one: the path of a key file.
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
