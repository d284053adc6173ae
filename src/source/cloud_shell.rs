//! Azure Cloud Shell: tokens of the user who opened it; other identities are not supported.
//!
//! Specification: <https://learn.microsoft.com/azure/cloud-shell/msi-authorization>

use super::endpoint::form_urlencode;
use super::{
    Endpoint, METADATA_HEADER, RESOURCE, Source, SourceDescriptor, SourceName, TokenQuery, read_endpoint,
};
use crate::error::{Code, Error};
use crate::http::Request;
use crate::http::retry_policy::{self, RetryPolicy};
use crate::options::identity::Identity;
use crate::platform::{Platform, variable};

pub(super) const DESCRIPTOR: SourceDescriptor = SourceDescriptor {
    name: SourceName::CloudShell,
    detect: |env, _, _| env.has_all(&[variable::MSI_ENDPOINT]),
    create: |env, options| {
        if options.identity != Identity::SystemAssigned {
            let message =
                "Cloud Shell does not support user-assigned identities. Remove managedIdentityIdParams.";
            return Err(Error::new(Code::UnableToCreateCloudShell, message));
        }
        Ok(Box::new(CloudShell {
            endpoint: read_endpoint(env, variable::MSI_ENDPOINT, &Code::MsiEndpointMalformed)?,
        }))
    },
};

struct CloudShell {
    endpoint: Endpoint,
}

impl Source for CloudShell {
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
        let body = form_urlencode(&[(RESOURCE, query.resource.as_str())]);
        Ok(Request::post(
            self.endpoint
                .with_query(query.capabilities_parameter().as_slice()),
            body,
        )
        .header(METADATA_HEADER.0, METADATA_HEADER.1))
    }
}
