//! App Service, Functions, Container Apps and Automation.
//!
//! Specification: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use super::{Ask, Endpoint, Host, MI_RESOURCE_ID, Source, SourceName, endpoint_of, secret_of};
use crate::error::{Code, Error};
use crate::http::Request;
use crate::http::retry_policy::{self, Policy};
use crate::platform::{Machine, variable};
use crate::token::Secret;

const API_VERSION: &str = "2019-08-01";
const SECRET_HEADER: &str = "X-IDENTITY-HEADER";

pub(super) const HOST: Host = Host {
    name: SourceName::AppService,
    detect: |env, _, _| env.has_all(&[variable::IDENTITY_ENDPOINT, variable::IDENTITY_HEADER]),
    open: |env, _| {
        Ok(Box::new(AppService {
            endpoint: endpoint_of(env, variable::IDENTITY_ENDPOINT, &Code::IdentityEndpointMalformed)?,
            secret: secret_of(env, variable::IDENTITY_HEADER)?,
        }))
    },
};

struct AppService {
    endpoint: Endpoint,
    secret: Secret,
}

impl Source for AppService {
    fn name(&self) -> SourceName {
        HOST.name
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn policy(&self) -> &'static Policy {
        &retry_policy::CONFIGURED
    }

    fn secret(&self) -> Option<&Secret> {
        Some(&self.secret)
    }

    fn request(&self, ask: &Ask, _: &Machine) -> Result<Request, Error> {
        let url = self
            .endpoint
            .with_query(&ask.query(API_VERSION, ask.id(MI_RESOURCE_ID)));
        Ok(Request::get(url).secret_header(SECRET_HEADER, self.secret.clone()))
    }
}
