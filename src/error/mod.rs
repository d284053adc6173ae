//! The one error type, and the one table of its codes.
//!
//! An error is a value that is cheap to clone: every waiter of a flight gets the same one. Its
//! message is made by whoever knows what happened; nothing secret may go in.

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
            /// The service named a code of its own.
            Service(Box<str>),
        }

        impl Code {
            /// Every code of this package's own, as callers see it.
            pub const ALL: &[&str] = &[$($text),+];

            /// The code as callers see it.
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
    /// The resource is no absolute URI and no GUID.
    InvalidResource => "invalid_resource",
    /// Two ids, or a kind of id that the source does not take.
    InvalidIdType => "invalid_managed_identity_id_type",
    /// An id that is present but empty, or no string.
    MissingId => "missing_client_id",
    /// An option or a request field of a wrong type or out of range.
    InvalidConfiguration => "invalid_configuration",
    /// `IDENTITY_ENDPOINT` is no usable URL.
    IdentityEndpointMalformed => "identity_endpoint_url_malformed",
    /// `MSI_ENDPOINT` is no usable URL.
    MsiEndpointMalformed => "msi_endpoint_url_malformed",
    /// `IMDS_ENDPOINT` is no usable URL.
    ImdsEndpointMalformed => "imds_endpoint_url_malformed",
    /// `AZURE_POD_IDENTITY_AUTHORITY_HOST` is no usable URL.
    PodIdentityHostMalformed => "azure_pod_identity_authority_host_url_malformed",
    /// A user-assigned identity in Cloud Shell.
    UnableToCreateCloudShell => "unable_to_create_cloud_shell",
    /// A user-assigned identity on Service Fabric.
    UserAssignedNotAvailable => "user_assigned_not_available_at_runtime",
    /// Azure Arc answered for another identity than the one asked for.
    UserAssignedNotConfirmed => "user_assigned_managed_identity_not_confirmed",
    /// Azure Arc's challenge has no `WWW-Authenticate`.
    ChallengeMissing => "www_authenticate_header_missing",
    /// Azure Arc's header has no challenge `Basic realm=<path>`.
    ChallengeUnsupported => "www_authenticate_header_unsupported_format",
    /// Azure Arc's challenge on a platform without Azure Arc.
    PlatformNotSupported => "platform_not_supported",
    /// Azure Arc's key file does not end in `.key`.
    InvalidFileExtension => "invalid_file_extension",
    /// Azure Arc's key file is not in the agent's folder.
    InvalidFilePath => "invalid_file_path",
    /// Azure Arc's key file cannot be read.
    UnableToReadSecretFile => "unable_to_read_secret_file",
    /// Azure Arc's key file is empty or too large.
    InvalidSecret => "invalid_secret",
    /// Service Fabric: the pin is no SHA-1, or the certificate has another.
    InvalidServerThumbprint => "invalid_server_thumbprint",
    /// More than one scope, or none.
    ExactlyOneScopeExpected => "exactly_one_scope_expected",
    /// An answer with no usable token and no code.
    FailedResponse => "managed_identity_failed_response",
    /// No answer: refused, unreachable, reset, DNS, TLS.
    UnreachableNetwork => "managed_identity_unreachable_network",
    /// No answer in time.
    NetworkUnavailable => "network_unavailable",
}

/// A number that a service has for an error, as it came: Entra sends numbers, others strings.
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

/// What stood behind an error: the socket's or the runtime's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// A stable code where there is one, such as `ECONNREFUSED`.
    pub code: Option<&'static str>,
    /// The words.
    pub message: String,
}

/// The facts of an error, all public: the binding hands them over as they are.
#[derive(Clone, Debug)]
pub struct ErrorDetails {
    /// The stable code.
    pub code: Code,
    /// What was tried, what came back, and the remedy where it is known.
    pub message: String,
    /// The correlation id that the service sent.
    pub correlation_id: Option<String>,
    /// The HTTP status of the answer.
    pub status: Option<u16>,
    /// The first of the service's own numbers for it.
    pub number: Option<ErrorNumber>,
    /// Which source was asked.
    pub source: Option<SourceName>,
    /// Which endpoint was asked, without its query.
    pub endpoint: Option<String>,
    /// How many requests were sent.
    pub attempts: Option<u32>,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// How long the endpoint asked to wait.
    pub retry_after: Option<Duration>,
    /// Whether it says that there is no managed identity here, so that another credential may be tried.
    pub unavailable: bool,
    /// What stood behind it.
    pub cause: Option<Cause>,
    /// The figures of the call, if the endpoint was to be asked.
    pub metadata: Option<Metadata>,
}

/// Why there is no token.
#[derive(Clone)]
pub struct Error(Arc<ErrorDetails>);

impl Error {
    /// A code and a message; nothing else is known yet.
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

    /// Adds what else is known.
    #[must_use]
    pub fn map_details(mut self, add: impl FnOnce(&mut ErrorDetails)) -> Self {
        add(Arc::make_mut(&mut self.0));
        self
    }

    /// Everything that is known of it.
    pub fn details(&self) -> &ErrorDetails {
        &self.0
    }

    /// Its code.
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
