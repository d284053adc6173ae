//! Service Fabric: the cluster decides the identity, and its certificate is known by its thumbprint.
//!
//! Specification: <https://learn.microsoft.com/azure/service-fabric/how-to-managed-identity-service-fabric-app-code>

use super::{Ask, Endpoint, Host, SECRET_HEADER, Source, SourceName, endpoint_of, secret_of};
use crate::error::{Code, Error};
use crate::http::certificate_pin::Thumbprint;
use crate::http::retry_policy::{self, Policy};
use crate::http::{Request, Route};
use crate::options::Settings;
use crate::options::identity::Identity;
use crate::platform::{Environment, Machine, variable};
use crate::token::Secret;

const API_VERSION: &str = "2019-07-01-preview";

pub(super) const HOST: Host = Host {
    name: SourceName::ServiceFabric,
    detect: |env, _, _| {
        env.has_all(&[
            variable::IDENTITY_ENDPOINT,
            variable::IDENTITY_HEADER,
            variable::IDENTITY_SERVER_THUMBPRINT,
        ])
    },
    open,
};

fn open(env: &Environment, settings: &Settings) -> Result<Box<dyn Source>, Error> {
    if settings.identity != Identity::SystemAssigned {
        let message = "On Service Fabric the application manifest decides the identity; one that a caller names \
                       cannot be had. Leave managedIdentityIdParams out.";
        return Err(Error::new(Code::UserAssignedNotAvailable, message));
    }
    let endpoint = endpoint_of(env, variable::IDENTITY_ENDPOINT, &Code::IdentityEndpointMalformed)?;
    if !endpoint.is_https() {
        let message =
            "The environment variable IDENTITY_ENDPOINT is no https URL, which Service Fabric's must be.";
        return Err(Error::new(Code::IdentityEndpointMalformed, message));
    }
    let pin = env
        .read(variable::IDENTITY_SERVER_THUMBPRINT)
        .and_then(Thumbprint::parse)
        .ok_or_else(|| {
            let message = "The environment variable IDENTITY_SERVER_THUMBPRINT is no SHA-1 thumbprint of 40 \
                       hexadecimal digits.";
            Error::new(Code::InvalidServerThumbprint, message)
        })?;
    Ok(Box::new(ServiceFabric {
        endpoint,
        secret: secret_of(env, variable::IDENTITY_HEADER)?,
        pin,
    }))
}

struct ServiceFabric {
    endpoint: Endpoint,
    secret: Secret,
    pin: Thumbprint,
}

impl Source for ServiceFabric {
    fn name(&self) -> SourceName {
        HOST.name
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn policy(&self) -> &'static Policy {
        &retry_policy::CONFIGURED
    }

    fn request(&self, ask: &Ask, _: &Machine) -> Result<Request, Error> {
        let request = Request::get(self.endpoint.with_query(&ask.query(API_VERSION, None)))
            .secret_header(SECRET_HEADER, self.secret.clone());
        Ok(request.by(Route::Pinned(self.pin)))
    }

    fn probe(&self, _: &Machine) -> Result<Request, Error> {
        let request = Request::get(self.endpoint.with_query(&[])).keeping(self.secret.clone());
        Ok(request.by(Route::Pinned(self.pin)))
    }

    fn takes_refused_token(&self) -> bool {
        true
    }

    fn allows_callers_transport(&self) -> bool {
        false
    }
}
