//! Service Fabric: the cluster determines the identity, and its certificate is pinned by its thumbprint.
//!
//! Specification: <https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code>

use super::{
    Endpoint, SECRET_HEADER, Source, SourceDescriptor, SourceName, TokenQuery, read_endpoint, read_secret,
};
use crate::error::{Code, Error};
use crate::http::certificate_pin::Thumbprint;
use crate::http::retry_policy::{self, RetryPolicy};
use crate::http::{Request, Route};
use crate::options::ApplicationOptions;
use crate::options::identity::Identity;
use crate::platform::{Environment, Platform, variable};
use crate::token::Secret;

const API_VERSION: &str = "2019-07-01-preview";

pub(super) const DESCRIPTOR: SourceDescriptor = SourceDescriptor {
    name: SourceName::ServiceFabric,
    detect: |env, _, _| {
        env.has_all(&[
            variable::IDENTITY_ENDPOINT,
            variable::IDENTITY_HEADER,
            variable::IDENTITY_SERVER_THUMBPRINT,
        ])
    },
    create,
};

fn create(env: &Environment, options: &ApplicationOptions) -> Result<Box<dyn Source>, Error> {
    if options.identity != Identity::SystemAssigned {
        let message = "On Service Fabric, the application manifest determines the identity; the options cannot select \
                       another one. Remove managedIdentityIdParams.";
        return Err(Error::new(Code::UserAssignedNotAvailable, message));
    }
    let endpoint = read_endpoint(env, variable::IDENTITY_ENDPOINT, &Code::IdentityEndpointMalformed)?;
    if !endpoint.is_https() {
        let message =
            "The environment variable IDENTITY_ENDPOINT is not an https URL, which Service Fabric requires.";
        return Err(Error::new(Code::IdentityEndpointMalformed, message));
    }
    let thumbprint = env
        .read(variable::IDENTITY_SERVER_THUMBPRINT)
        .and_then(Thumbprint::parse)
        .ok_or_else(|| {
            let message = "The environment variable IDENTITY_SERVER_THUMBPRINT is not a SHA-1 thumbprint of 40 \
                       hexadecimal digits.";
            Error::new(Code::InvalidServerThumbprint, message)
        })?;
    Ok(Box::new(ServiceFabric {
        endpoint,
        secret: read_secret(env, variable::IDENTITY_HEADER)?,
        thumbprint,
    }))
}

struct ServiceFabric {
    endpoint: Endpoint,
    secret: Secret,
    thumbprint: Thumbprint,
}

impl Source for ServiceFabric {
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
        let request = Request::get(
            self.endpoint
                .with_query(&query.query_parameters(API_VERSION, None)),
        )
        .sensitive_header(SECRET_HEADER, self.secret.clone());
        Ok(request.with_route(Route::PinnedCertificate(self.thumbprint)))
    }

    fn probe(&self, _: &Platform) -> Result<Request, Error> {
        let request = Request::get(self.endpoint.with_query(&[])).with_secret(self.secret.clone());
        Ok(request.with_route(Route::PinnedCertificate(self.thumbprint)))
    }

    fn supports_token_revocation_hash(&self) -> bool {
        true
    }

    fn supports_custom_transport(&self) -> bool {
        false
    }
}
