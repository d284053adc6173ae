//! Known error texts of services, and their remedies.

/// Texts that known error responses contain, each with its remedy.
const REMEDIES: [(&str, &str); 11] = [
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
        "The app has no system-assigned identity: enable it, or name a user-assigned one in \
         managedIdentityIdParams.",
    ),
    (
        "AADSTS500011",
        "The resource does not exist in the identity's tenant: check the resource that was passed to acquireToken.",
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
        "The token in AZURE_FEDERATED_TOKEN_FILE has expired, or is not valid yet: check this host's clock, and that \
         the file is the one that Kubernetes renews and not a copy of it.",
    ),
    UNKNOWN_CLIENT,
    // After the codes that start with it, of which AADSTS700213 has the same remedy.
    ("AADSTS70021", NO_FEDERATION),
];
const ASSIGN_IDENTITY: &str = "Assign a managed identity to this host, or check the id in managedIdentityIdParams (with \
     fromEnvironment(), in AZURE_CLIENT_ID or MANAGED_IDENTITY).";
const NO_FEDERATION: &str = "No federated credential of the application matches this service account: check the subject and the issuer.";
const UNKNOWN_CLIENT: (&str, &str) = (
    "AADSTS700016",
    "The client id does not exist in the tenant: check AZURE_CLIENT_ID and AZURE_TENANT_ID.",
);

/// Returns the remedy for a text of a service, if it is known.
pub(super) fn remedy(text: &str) -> Option<&'static str> {
    REMEDIES
        .iter()
        .find(|(known, _)| text.contains(known))
        .map(|(_, remedy)| *remedy)
}

/// Returns whether a remedy is about an unknown identity.
pub(super) fn is_about_identity(remedy: &str) -> bool {
    [ASSIGN_IDENTITY, UNKNOWN_CLIENT.1].contains(&remedy)
}

/// Returns whether a text says that the identity does not exist.
pub(super) fn names_no_identity(text: &str) -> bool {
    remedy(text) == Some(ASSIGN_IDENTITY)
}
