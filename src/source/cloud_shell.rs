//! Azure Cloud Shell: the identity of the user who opened it, and no other.
//!
//! Specification: <https://learn.microsoft.com/azure/cloud-shell/msi-authorization>

use super::endpoint::form;
use super::{Ask, Endpoint, Host, METADATA_HEADER, RESOURCE, Source, SourceName, endpoint_of};
use crate::error::{Code, Error};
use crate::http::Request;
use crate::http::retry_policy::{self, Policy};
use crate::options::identity::Identity;
use crate::platform::{Machine, variable};

pub(super) const HOST: Host = Host {
    name: SourceName::CloudShell,
    detect: |env, _, _| env.has_all(&[variable::MSI_ENDPOINT]),
    open: |env, settings| {
        if settings.identity != Identity::SystemAssigned {
            let message = "Cloud Shell has no user-assigned identities: leave managedIdentityIdParams out.";
            return Err(Error::new(Code::UnableToCreateCloudShell, message));
        }
        Ok(Box::new(CloudShell {
            endpoint: endpoint_of(env, variable::MSI_ENDPOINT, &Code::MsiEndpointMalformed)?,
        }))
    },
};

struct CloudShell {
    endpoint: Endpoint,
}

impl Source for CloudShell {
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
        let body = form(&[(RESOURCE, ask.resource.as_str())]);
        Ok(
            Request::post(self.endpoint.with_query(ask.capabilities().as_slice()), body)
                .header(METADATA_HEADER.0, METADATA_HEADER.1),
        )
    }
}
