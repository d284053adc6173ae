//! App Service, Functions, Container Apps and Automation.
//!
//! Specification: <https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>

use super::{
    Endpoint, MI_RESOURCE_ID, Source, SourceDescriptor, SourceName, TokenQuery, read_endpoint, read_secret,
};
use crate::error::{Code, Error};
use crate::http::Request;
use crate::http::retry_policy::{self, RetryPolicy};
use crate::platform::{Platform, variable};
use crate::token::Secret;

const API_VERSION: &str = "2019-08-01";
const SECRET_HEADER: &str = "X-IDENTITY-HEADER";

pub(super) const DESCRIPTOR: SourceDescriptor = SourceDescriptor {
    name: SourceName::AppService,
    detect: |env, _, _| env.has_all(&[variable::IDENTITY_ENDPOINT, variable::IDENTITY_HEADER]),
    create: |env, _| {
        Ok(Box::new(AppService {
            endpoint: read_endpoint(env, variable::IDENTITY_ENDPOINT, &Code::IdentityEndpointMalformed)?,
            secret: read_secret(env, variable::IDENTITY_HEADER)?,
        }))
    },
};

struct AppService {
    endpoint: Endpoint,
    secret: Secret,
}

impl Source for AppService {
    fn name(&self) -> SourceName {
        DESCRIPTOR.name
    }

    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn policy(&self) -> &'static RetryPolicy {
        &retry_policy::DEFAULT
    }

    fn secret(&self) -> Option<&Secret> {
        Some(&self.secret)
    }

    fn request(&self, query: &TokenQuery, _: &Platform) -> Result<Request, Error> {
        let url = self
            .endpoint
            .with_query(&query.query_parameters(API_VERSION, query.identity_parameter(MI_RESOURCE_ID)));
        Ok(Request::get(url).sensitive_header(SECRET_HEADER, self.secret.clone()))
    }
}
