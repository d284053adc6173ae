//! The error type, and the table of its codes.
//!
//! An error is cheap to clone, because all waiters of an in-flight request get the same one. The code that detects a
//! failure writes the message, which must not contain secrets.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::metadata::Metadata;
use crate::source_name::SourceName;

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $variant:ident => $text:literal,)+) => {
        /// The stable code of an error.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Code {
            $($(#[doc = $doc])+ $variant,)+
            /// A code from the response of the service.
            Service(Box<str>),
        }

        impl Code {
            /// All codes of this package, as callers see them.
            pub const ALL: &[&str] = &[$($text),+];

            /// Returns the code as callers see it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Service(code) => code,
                }
            }
        }
    };
}

codes! {
    /// The resource is neither an absolute URI nor a GUID.
    InvalidResource => "invalid_resource",
    /// Two ids, or a kind of id that the source does not support.
    InvalidIdType => "invalid_managed_identity_id_type",
    /// An id that is empty or not a string.
    MissingId => "missing_client_id",
    /// An option or a request field with a wrong type or value.
    InvalidConfiguration => "invalid_configuration",
    /// `IDENTITY_ENDPOINT` is not a usable URL.
    IdentityEndpointMalformed => "identity_endpoint_url_malformed",
    /// `MSI_ENDPOINT` is not a usable URL.
    MsiEndpointMalformed => "msi_endpoint_url_malformed",
    /// `IMDS_ENDPOINT` is not a usable URL.
    ImdsEndpointMalformed => "imds_endpoint_url_malformed",
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST` is not a usable URL.
    PodIdentityHostMalformed => "azure_pod_identity_authority_host_url_malformed",
    /// A user-assigned identity in Cloud Shell.
    UnableToCreateCloudShell => "unable_to_create_cloud_shell",
    /// A user-assigned identity on Service Fabric.
    UserAssignedNotAvailable => "user_assigned_not_available_at_runtime",
    /// Azure Arc's response is not for the requested identity.
    UserAssignedNotConfirmed => "user_assigned_managed_identity_not_confirmed",
    /// Azure Arc's challenge has no `WWW-Authenticate`.
    ChallengeMissing => "www_authenticate_header_missing",
    /// The `WWW-Authenticate` of Azure Arc's challenge is not `Basic realm=<path>`.
    ChallengeUnsupported => "www_authenticate_header_unsupported_format",
    /// Azure Arc's challenge on a platform without Azure Arc.
    PlatformNotSupported => "platform_not_supported",
    /// Azure Arc's key file does not end in `.key`.
    InvalidFileExtension => "invalid_file_extension",
    /// Azure Arc's key file is not in the agent's directory.
    InvalidFilePath => "invalid_file_path",
    /// Azure Arc's key file cannot be read.
    UnableToReadSecretFile => "unable_to_read_secret_file",
    /// Azure Arc's key file is empty or too large.
    InvalidSecret => "invalid_secret",
    /// Service Fabric: the thumbprint is not a SHA-1, or the certificate has another one.
    InvalidServerThumbprint => "invalid_server_thumbprint",
    /// The number of scopes is not one.
    ExactlyOneScopeExpected => "exactly_one_scope_expected",
    /// A response without a usable token and without a code.
    FailedResponse => "managed_identity_failed_response",
    /// No response: connection refused or reset, host unreachable, DNS, TLS.
    UnreachableNetwork => "managed_identity_unreachable_network",
    /// No response in time.
    NetworkUnavailable => "network_unavailable",
}

/// A service's number of an error, as received: Entra sends numbers, other services strings.
#[derive(Clone, Debug, PartialEq)]
pub enum ErrorNumber {
    /// A JSON number.
    Number(f64),
    /// A string.
    Text(String),
}

impl fmt::Display for ErrorNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// The underlying error of a socket, a library or a custom network client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// Its stable code, if there is one, such as `ECONNREFUSED`.
    pub code: Option<&'static str>,
    /// Its message.
    pub message: String,
}

/// The details of an error. The binding passes them to JavaScript as they are.
#[derive(Clone, Debug)]
pub struct ErrorDetails {
    /// The stable code.
    pub code: Code,
    /// What was attempted, what happened, and what helps if that is known.
    pub message: String,
    /// The correlation id that the service sent.
    pub correlation_id: Option<String>,
    /// The HTTP status of the response.
    pub status: Option<u16>,
    /// The first of the service's numbers for the error.
    pub number: Option<ErrorNumber>,
    /// The source that the token was requested from.
    pub source: Option<SourceName>,
    /// The endpoint that the token was requested from, without its query.
    pub endpoint: Option<String>,
    /// The number of requests sent.
    pub attempts: Option<u32>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// The value of `Retry-After`.
    pub retry_after: Option<Duration>,
    /// Whether there is no managed identity on this machine, so that a credential chain should try the next credential.
    pub unavailable: bool,
    /// The underlying error.
    pub cause: Option<Cause>,
    /// The metadata of the call, if it needed a request.
    pub metadata: Option<Metadata>,
}

/// The failure of an acquisition.
#[derive(Clone)]
pub struct Error(Arc<ErrorDetails>);

impl Error {
    /// Creates an error with a code and a message.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self(Arc::new(ErrorDetails {
            code,
            message: message.into(),
            correlation_id: None,
            status: None,
            number: None,
            source: None,
            endpoint: None,
            attempts: None,
            retryable: false,
            retry_after: None,
            unavailable: false,
            cause: None,
            metadata: None,
        }))
    }

    /// Changes the details.
    #[must_use]
    pub fn map_details(mut self, change: impl FnOnce(&mut ErrorDetails)) -> Self {
        change(Arc::make_mut(&mut self.0));
        self
    }

    /// Returns the details.
    pub fn details(&self) -> &ErrorDetails {
        &self.0
    }

    /// Returns the code.
    pub fn code(&self) -> &Code {
        &self.0.code
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code.as_str(), self.0.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct() {
        let mut codes = Code::ALL.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Code::ALL.len());
    }

    #[test]
    fn error_clone_is_independent() {
        let first = Error::new(Code::FailedResponse, "no token");
        let second = first.clone().map_details(|details| details.status = Some(503));
        assert_eq!(
            (first.details().status, second.details().status),
            (None, Some(503))
        );
        assert_eq!(second.to_string(), "managed_identity_failed_response: no token");
    }
}
