//! Texts of services that are known, and what helps.

/// Answers that are known, by their words, and what helps.
const REMEDIES: [(&str, &str); 10] = [
    ("Identity not found", ASSIGN_IDENTITY),
    (
        "No User Assigned or Delegated Managed Identity found",
        ASSIGN_IDENTITY,
    ),
    ("No MSI found for specified", ASSIGN_IDENTITY),
    (
        "Multiple user assigned identities exist",
        "Name the one to use in managedIdentityIdParams.",
    ),
    (
        "Unable to load the proper Managed Identity",
        "The app has no system-assigned identity: switch it on, or name a user-assigned one in \
         managedIdentityIdParams.",
    ),
    (
        "AADSTS500011",
        "The resource is not known in the identity's tenant: check the audience that acquireToken was given.",
    ),
    (
        "AADSTS700211",
        "No federated credential of the application trusts the cluster's issuer: compare the issuer in the \
         application's federated credentials with the cluster's OIDC issuer URL.",
    ),
    (
        "AADSTS700212",
        "No federated credential of the application has the audience of the federated token: both must have \
         api://AzureADTokenExchange (a national cloud has its own).",
    ),
    (
        "AADSTS700024",
        "The token in AZURE_FEDERATED_TOKEN_FILE has expired, or is not valid yet: check that the file is the one \
         that Kubernetes renews and no copy of it, and this host's clock.",
    ),
    ("AADSTS70021", NO_FEDERATION),
];
const ASSIGN_IDENTITY: &str =
    "Assign a managed identity to this host, or check the id in managedIdentityIdParams.";
const NO_FEDERATION: &str = "No federated credential of the application matches this service account: check the subject and the issuer.";
const UNKNOWN_CLIENT: (&str, &str) = (
    "AADSTS700016",
    "The client id is not known in the tenant: check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
);

/// The remedy for a known text of a service.
pub(super) fn remedy(text: &str) -> Option<&'static str> {
    // Before AADSTS70021, which is the beginning of this code.
    let known = std::iter::once(&UNKNOWN_CLIENT).chain(&REMEDIES);
    known
        .into_iter()
        .find(|(sign, _)| text.contains(sign))
        .map(|(_, remedy)| *remedy)
}

/// Whether a remedy is that for an identity which is unknown.
pub(super) fn is_about_identity(remedy: &str) -> bool {
    [ASSIGN_IDENTITY, UNKNOWN_CLIENT.1].contains(&remedy)
}

/// Whether a text says that the identity is unknown.
pub(super) fn names_no_identity(text: &str) -> bool {
    remedy(text) == Some(ASSIGN_IDENTITY)
}
