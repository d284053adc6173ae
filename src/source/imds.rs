//! The instance metadata service (IMDS) of virtual machines, scale sets and Container Instances. It is also the default
//! if no other source is detected.
//!
//! Specification: <https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token#get-a-token-using-http>

use super::{Endpoint, METADATA_HEADER, MSI_RESOURCE_ID, Source, SourceDescriptor, SourceName, TokenQuery};
use crate::error::{Code, Error};
use crate::http::Request;
use crate::http::retry_policy::{self, RetryPolicy};
use crate::platform::{Platform, variable};

const API_VERSION: &str = "2018-02-01";
const DEFAULT_BASE: &str = "http://169.254.169.254";
const PATH: &str = "/metadata/identity/oauth2/token";
const SKU_HEADER: (&str, &str) = ("x-client-SKU", env!("CARGO_PKG_NAME"));
const VERSION_HEADER: (&str, &str) = ("x-client-VER", env!("CARGO_PKG_VERSION"));
const REQUEST_ID_HEADER: &str = "x-ms-client-request-id";

pub(super) const DESCRIPTOR: SourceDescriptor = SourceDescriptor {
    name: SourceName::DefaultToImds,
    detect: |_, _, _| true,
    create: |env, _| {
        let configured = env.read(variable::AZURE_POD_IDENTITY_AUTHORITY_HOST);
        let base = Endpoint::parse(
            variable::AZURE_POD_IDENTITY_AUTHORITY_HOST,
            &Code::PodIdentityHostMalformed,
            configured.unwrap_or(DEFAULT_BASE),
        )?;
        let endpoint = base.with_path(PATH).ok_or_else(|| {
            let message = "The environment variable AZURE_POD_IDENTITY_AUTHORITY_HOST is a URL with a query (?), \
                           which this base address cannot have.";
            Error::new(Code::PodIdentityHostMalformed, message)
        })?;
        Ok(Box::new(Imds {
            endpoint,
            is_configured: configured.is_some(),
        }))
    },
};

struct Imds {
    endpoint: Endpoint,
    is_configured: bool,
}

impl Source for Imds {
    fn name(&self) -> SourceName {
        DESCRIPTOR.name
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn policy(&self) -> &'static RetryPolicy {
        if self.is_configured {
            &retry_policy::IMDS_CONFIGURED
        } else {
            &retry_policy::IMDS_DEFAULT
        }
    }

    fn request(&self, query: &TokenQuery, _: &Platform) -> Result<Request, Error> {
        let url = self
            .endpoint
            .with_query(&query.query_parameters(API_VERSION, query.identity_parameter(MSI_RESOURCE_ID)));
        let request = Request::get(url)
            .header(METADATA_HEADER.0, METADATA_HEADER.1)
            .header(SKU_HEADER.0, SKU_HEADER.1)
            .header(VERSION_HEADER.0, VERSION_HEADER.1);
        Ok(request.header(REQUEST_ID_HEADER, query.correlation_id.as_str()))
    }

    fn unreachable_remedy(&self) -> &'static str {
        if self.is_configured {
            "AZURE_POD_IDENTITY_AUTHORITY_HOST replaces the address of IMDS. It may be left over from a program that has \
             ended, such as an emulator; unset it to use IMDS itself."
        } else {
            self.name().unreachable_remedy()
        }
    }

    fn needs_probe(&self) -> bool {
        !self.is_configured
    }
}
