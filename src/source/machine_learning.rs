//! Azure Machine Learning: the 2017 API of App Service, which identifies user-assigned identities by client id only.
//!
//! Specification: <https://learn.microsoft.com/azure/machine-learning/how-to-identity-based-service-authentication>

use super::{
    Endpoint, METADATA_HEADER, SECRET_HEADER, Source, SourceDescriptor, SourceName, TokenQuery,
    read_client_id, read_endpoint, read_secret,
};
use crate::error::{Code, Error};
use crate::http::Request;
use crate::http::retry_policy::{self, RetryPolicy};
use crate::options::ApplicationOptions;
use crate::options::identity::{IdKind, Identity};
use crate::platform::{Environment, Platform, variable};
use crate::token::Secret;

const API_VERSION: &str = "2017-09-01";
const CLIENT_ID: &str = "clientid";

pub(super) const DESCRIPTOR: SourceDescriptor = SourceDescriptor {
    name: SourceName::MachineLearning,
    detect: |env, _, _| env.has_all(&[variable::MSI_ENDPOINT, variable::MSI_SECRET]),
    create,
};

fn create(env: &Environment, options: &ApplicationOptions) -> Result<Box<dyn Source>, Error> {
    let client_id = match &options.identity {
        Identity::SystemAssigned => read_client_id(env, variable::DEFAULT_IDENTITY_CLIENT_ID)?,
        Identity::UserAssigned {
            kind: IdKind::ClientId,
            id,
        } => Some(id.clone()),
        Identity::UserAssigned { kind, .. } => {
            let message = format!(
                "Machine Learning identifies a user-assigned identity by its client id only. Use \
                 managedIdentityIdParams.userAssignedClientId instead of .{}.",
                kind.option()
            );
            return Err(Error::new(Code::InvalidIdType, message));
        }
    };
    Ok(Box::new(MachineLearning {
        endpoint: read_endpoint(env, variable::MSI_ENDPOINT, &Code::MsiEndpointMalformed)?,
        secret: read_secret(env, variable::MSI_SECRET)?,
        client_id,
    }))
}

struct MachineLearning {
    endpoint: Endpoint,
    secret: Secret,
    client_id: Option<String>,
}

impl Source for MachineLearning {
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

    fn cache_partition(&self) -> &str {
        // Without an id in the options, the environment determines the identity.
        self.client_id.as_deref().unwrap_or_default()
    }

    fn identity_id<'a>(&'a self, _: &'a TokenQuery) -> Option<&'a str> {
        self.client_id.as_deref()
    }

    fn request(&self, query: &TokenQuery, _: &Platform) -> Result<Request, Error> {
        let id = self.client_id.as_deref().map(|id| (CLIENT_ID, id));
        let request = Request::get(self.endpoint.with_query(&query.query_parameters(API_VERSION, id)))
            .sensitive_header(SECRET_HEADER, self.secret.clone());
        Ok(request.header(METADATA_HEADER.0, METADATA_HEADER.1))
    }
}
