//! Tests of the sources against the tables of docs/wire-protocol.md.

mod azure_arc;
mod detection;
mod endpoints;
mod hostile_responses;
mod redaction;
mod requests;
mod token_proxy;
mod workload_identity;

use std::sync::Arc;

use super::*;
use crate::platform::variable as v;
use crate::test_support::{self, FakeClock, FakeEntry, FakeFiles, environment, options, resource};

type Variables<'a> = &'a [(&'a str, &'a str)];

const FILE: &str = "/var/run/secrets/azure/tokens/azure-identity-token";
const HIMDS: &str = "/opt/azcmagent/bin/himds";
const THUMBPRINT: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

const SERVICE_FABRIC: Variables<'_> = &[
    (
        v::IDENTITY_ENDPOINT,
        "https://10.0.0.4:2377/metadata/identity/oauth2/token",
    ),
    (v::IDENTITY_HEADER, "hush-header"),
    (v::IDENTITY_SERVER_THUMBPRINT, THUMBPRINT),
];
const APP_SERVICE: Variables<'_> = &[
    (v::IDENTITY_ENDPOINT, "http://127.0.0.1:8081/msi/token"),
    (v::IDENTITY_HEADER, "hush-header"),
];
const MACHINE_LEARNING: Variables<'_> = &[
    (v::MSI_ENDPOINT, "http://127.0.0.1:46808/MSI/auth"),
    (v::MSI_SECRET, "hush-secret"),
];
const CLOUD_SHELL: Variables<'_> = &[(v::MSI_ENDPOINT, "http://localhost:50342/oauth2/token")];
const AZURE_ARC: Variables<'_> = &[
    (
        v::IDENTITY_ENDPOINT,
        "http://localhost:40342/metadata/identity/oauth2/token",
    ),
    (v::IMDS_ENDPOINT, "http://localhost:40342"),
];
const WORKLOAD_IDENTITY: Variables<'_> = &[
    (v::AZURE_FEDERATED_TOKEN_FILE, FILE),
    (v::AZURE_TENANT_ID, "8f7d9c1e-0000-4000-8000-00000000000a"),
    (v::AZURE_CLIENT_ID, "8f7d9c1e-0000-4000-8000-00000000000b"),
];

/// Returns a platform whose only files are these.
fn platform(files: &[(&str, FakeEntry)]) -> Platform {
    let fake = Arc::new(FakeFiles::default());
    for (path, entry) in files {
        fake.put(path, entry.clone());
    }
    test_support::platform(&FakeClock::new(), &fake)
}

fn user_assigned(kind: IdKind, id: &str) -> ApplicationOptions {
    options(|raw| {
        let option = match kind {
            IdKind::ClientId => &mut raw.user_assigned_client_id,
            IdKind::ResourceId => &mut raw.user_assigned_resource_id,
            IdKind::ObjectId => &mut raw.user_assigned_object_id,
        };
        *option = id.into();
    })
}

fn system_assigned() -> ApplicationOptions {
    options(|_| {})
}

/// Returns the token query of an application with these options.
fn query(options: &ApplicationOptions) -> TokenQuery {
    TokenQuery {
        resource: resource("https://vault.azure.net"),
        identity: options.identity.clone(),
        capabilities: options.capabilities.clone(),
        claims: None,
        refused_token_hash: None,
        correlation_id: "call-1".into(),
    }
}

fn open_source(variables: Variables<'_>, options: &ApplicationOptions) -> SourceResult {
    create(&environment(variables), options, &platform(&[]))
}

fn creation_error(result: SourceResult) -> Error {
    result.err().expect("an error")
}

/// Returns the variables with others added or replaced.
fn with<'a>(variables: Variables<'a>, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let unchanged = variables
        .iter()
        .filter(|(name, _)| !others.iter().any(|(other, _)| other == name));
    unchanged.chain(others).copied().collect()
}
