//! The exact requests to each source, and the identities that it supports.

use super::*;
use crate::http::{Method, Route};

const RESOURCE_ID: &str = "/subscriptions/s/resourceGroups/g/providers/x/userAssignedIdentities/ä b";

struct SentRequest {
    method: Method,
    url: String,
    headers: Vec<(&'static str, String)>,
    body: Option<String>,
}

fn sent_request(
    variables: Variables<'_>,
    options: &ApplicationOptions,
    change: impl FnOnce(&mut TokenQuery),
) -> SentRequest {
    let platform = platform(&[(FILE, FakeEntry::File(b"assertion".to_vec()))]);
    let source = create(&environment(variables), options, &platform).expect("a source");
    let mut query = query(options);
    change(&mut query);
    let request = source.request(&query, &platform).expect("a request");
    SentRequest {
        method: request.method,
        url: request.url.into(),
        headers: request
            .headers
            .iter()
            .map(|(name, value)| (*name, value.expose_secret().to_owned()))
            .collect(),
        body: request.body.map(|body| body.expose_secret().to_owned()),
    }
}

fn url(variables: Variables<'_>, options: &ApplicationOptions) -> String {
    sent_request(variables, options, |_| {}).url
}

#[test]
fn each_source_sends_its_url_headers_and_body() {
    const AGENT: &str = concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION"));
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    type Row<'a> = (Variables<'a>, &'a str, &'a [(&'a str, &'a str)], Option<&'a str>);
    let rows: [Row<'_>; 6] = [
        (
            &[],
            "http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net",
            &[
                ("Metadata", "true"),
                ("x-client-SKU", env!("CARGO_PKG_NAME")),
                ("x-client-VER", VERSION),
                ("x-ms-client-request-id", "call-1"),
            ],
            None,
        ),
        (
            APP_SERVICE,
            "http://127.0.0.1:8081/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net",
            &[("X-IDENTITY-HEADER", "hush-header")],
            None,
        ),
        (
            MACHINE_LEARNING,
            "http://127.0.0.1:46808/MSI/auth?api-version=2017-09-01&resource=https%3A%2F%2Fvault.azure.net",
            &[("secret", "hush-secret"), ("Metadata", "true")],
            None,
        ),
        (
            CLOUD_SHELL,
            "http://localhost:50342/oauth2/token",
            &[
                ("Content-Type", "application/x-www-form-urlencoded"),
                ("Metadata", "true"),
            ],
            Some("resource=https%3A%2F%2Fvault.azure.net"),
        ),
        (
            SERVICE_FABRIC,
            "https://10.0.0.4:2377/metadata/identity/oauth2/token?api-version=2019-07-01-preview&resource=https%3A%2F%2Fvault.azure.net",
            &[("secret", "hush-header")],
            None,
        ),
        (
            AZURE_ARC,
            "http://127.0.0.1:40342/metadata/identity/oauth2/token?api-version=2020-06-01&resource=https%3A%2F%2Fvault.azure.net",
            &[("Metadata", "true")],
            None,
        ),
    ];
    for (variables, url, own_headers, body) in rows {
        let sent = sent_request(variables, &system_assigned(), |_| {});
        assert_eq!(sent.url, url);
        assert_eq!(sent.body.as_deref(), body);
        assert_eq!(
            sent.method,
            if body.is_some() { Method::Post } else { Method::Get }
        );
        let common_headers = [
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
            ("User-Agent", AGENT),
        ];
        let headers: Vec<_> = sent
            .headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        assert_eq!(headers, [&common_headers, own_headers].concat(), "{url}");
    }
}

#[test]
fn each_identity_kind_is_sent_as_its_parameter_or_rejected() {
    use IdKind::{ClientId, ObjectId, ResourceId};
    for (variables, kind, outcome) in [
        (&[][..], ClientId, Ok("client_id")),
        (&[], ObjectId, Ok("object_id")),
        (&[], ResourceId, Ok("msi_res_id")),
        (APP_SERVICE, ClientId, Ok("client_id")),
        (APP_SERVICE, ObjectId, Ok("object_id")),
        (APP_SERVICE, ResourceId, Ok("mi_res_id")),
        (AZURE_ARC, ClientId, Ok("client_id")),
        (AZURE_ARC, ObjectId, Ok("object_id")),
        (AZURE_ARC, ResourceId, Ok("msi_res_id")),
        (MACHINE_LEARNING, ClientId, Ok("clientid")),
        (
            MACHINE_LEARNING,
            ObjectId,
            Err("invalid_managed_identity_id_type"),
        ),
        (
            MACHINE_LEARNING,
            ResourceId,
            Err("invalid_managed_identity_id_type"),
        ),
        (CLOUD_SHELL, ClientId, Err("unable_to_create_cloud_shell")),
        (CLOUD_SHELL, ObjectId, Err("unable_to_create_cloud_shell")),
        (CLOUD_SHELL, ResourceId, Err("unable_to_create_cloud_shell")),
        (
            SERVICE_FABRIC,
            ClientId,
            Err("user_assigned_not_available_at_runtime"),
        ),
        (
            SERVICE_FABRIC,
            ObjectId,
            Err("user_assigned_not_available_at_runtime"),
        ),
        (
            SERVICE_FABRIC,
            ResourceId,
            Err("user_assigned_not_available_at_runtime"),
        ),
        (
            WORKLOAD_IDENTITY,
            ObjectId,
            Err("invalid_managed_identity_id_type"),
        ),
        (
            WORKLOAD_IDENTITY,
            ResourceId,
            Err("invalid_managed_identity_id_type"),
        ),
    ] {
        let options = user_assigned(kind, RESOURCE_ID);
        match outcome {
            Ok(parameter) => {
                let encoded = "%2Fsubscriptions%2Fs%2FresourceGroups%2Fg%2Fproviders%2Fx%2FuserAssignedIdentities%2F%C3%A4%20b";
                let url = url(variables, &options);
                assert!(url.ends_with(&format!("&{parameter}={encoded}")), "{url}");
            }
            Err(code) => {
                // Every call fails, not only the first.
                for _ in 0..2 {
                    let error = creation_error(open_source(variables, &options));
                    assert_eq!(error.code().as_str(), code);
                    assert!(error.details().source.is_some() && !error.details().retryable);
                }
            }
        }
    }
}

#[test]
fn parameters_are_sent_in_order() {
    let options = options(|raw| {
        raw.client_capabilities = crate::options::UntypedValue::Array(vec!["cp1".into(), "c,p&2".into()]);
        raw.user_assigned_client_id = "id".into();
    });
    let common = "resource=https%3A%2F%2Fvault.azure.net";
    let capabilities = "xms_cc=cp1%2Cc%2Cp%262";
    for (variables, expected) in [
        (
            &[][..],
            format!("?api-version=2018-02-01&{common}&client_id=id&{capabilities}"),
        ),
        (
            APP_SERVICE,
            format!("?api-version=2019-08-01&{common}&client_id=id&{capabilities}"),
        ),
        (
            MACHINE_LEARNING,
            format!("?api-version=2017-09-01&{common}&clientid=id&{capabilities}"),
        ),
        (
            AZURE_ARC,
            format!("?api-version=2020-06-01&{common}&client_id=id&{capabilities}"),
        ),
    ] {
        let url = url(variables, &options);
        assert!(url.ends_with(&expected), "{url}");
    }
    let mut system = options.clone();
    system.identity = Identity::SystemAssigned;
    let fabric = sent_request(SERVICE_FABRIC, &system, |query| {
        query.refused_token_hash = Some("abc".into());
    });
    let expected =
        format!("?api-version=2019-07-01-preview&{common}&token_sha256_to_refresh=abc&{capabilities}");
    assert!(fabric.url.ends_with(&expected), "{}", fabric.url);
    let shell = sent_request(CLOUD_SHELL, &system, |_| {});
    assert_eq!(
        (shell.url.as_str(), shell.body.as_deref()),
        (
            "http://localhost:50342/oauth2/token?xms_cc=cp1%2Cc%2Cp%262",
            Some(common)
        )
    );
}

#[test]
fn resource_is_encoded_like_encode_uri_component() {
    let resource_text = "https://münchen.example/a+b?c=d&e#f'(g)*!~;,:@$%/[]{}|^`\"<>\\";
    let encoded = "https%3A%2F%2Fm%C3%BCnchen.example%2Fa%2Bb%3Fc%3Dd%26e%23f'(g)*!~%3B%2C%3A%40%24%25%2F%5B%5D%7B%7D%7C%5E%60%22%3C%3E%5C";
    let escaped = encoded.replace('\'', "%27");
    for variables in [&[][..], CLOUD_SHELL] {
        let sent = sent_request(variables, &system_assigned(), |query| {
            query.resource = resource(resource_text);
        });
        let text = sent.body.unwrap_or(sent.url);
        let value = text.split_once("resource=").expect("a resource").1;
        assert!([encoded, &escaped].contains(&value), "{value}");
    }
}

#[test]
fn endpoint_query_precedes_request_parameters() {
    let rows: [(Variables<'_>, &str, &str, &str); 3] = [
        (
            APP_SERVICE,
            v::IDENTITY_ENDPOINT,
            "http://h/t/?a=b%20c&d",
            "http://h/t/?a=b%20c&d&api-version=2019-08-01&",
        ),
        (
            MACHINE_LEARNING,
            v::MSI_ENDPOINT,
            "http://h?x=1",
            "http://h/?x=1&api-version=2017-09-01&",
        ),
        (
            SERVICE_FABRIC,
            v::IDENTITY_ENDPOINT,
            "https://h/t?",
            "https://h/t?api-version=2019-07-01-preview&",
        ),
    ];
    for (variables, variable, endpoint, start) in rows {
        let url = url(&with(variables, &[(variable, endpoint)]), &system_assigned());
        assert!(url.starts_with(start), "{url}");
    }
    let shell = with(CLOUD_SHELL, &[(v::MSI_ENDPOINT, "http://h/t?a=b")]);
    assert_eq!(url(&shell, &system_assigned()), "http://h/t?a=b");
}

#[test]
fn imds_base_is_the_variable_without_its_trailing_slashes() {
    for (base, expected) in [
        (
            "http://10.0.0.1",
            "http://10.0.0.1/metadata/identity/oauth2/token?",
        ),
        (
            "http://10.0.0.1///",
            "http://10.0.0.1/metadata/identity/oauth2/token?",
        ),
        (
            "https://pod.example:8443/Base/",
            "https://pod.example:8443/Base/metadata/identity/oauth2/token?",
        ),
    ] {
        let url = url(
            &[(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, base)],
            &system_assigned(),
        );
        assert!(url.starts_with(expected), "{url}");
    }
}

#[test]
fn azure_arc_endpoint_variable_needs_both_variables() {
    const DEFAULT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token?";
    let options = system_assigned();
    let agent = platform(&[(HIMDS, FakeEntry::File(vec![]))]);
    for (variables, start) in [
        (&[][..], DEFAULT),
        (&[(v::IDENTITY_ENDPOINT, "http://h:1/t")], DEFAULT),
        (
            &[
                (v::IDENTITY_ENDPOINT, "http://h:1/t"),
                (v::IMDS_ENDPOINT, "http://h:1"),
            ],
            "http://h:1/t?",
        ),
        (
            &[
                (v::IDENTITY_ENDPOINT, "http://LOCALHOST:1/t"),
                (v::IMDS_ENDPOINT, "http://h:1"),
            ],
            "http://127.0.0.1:1/t?",
        ),
    ] {
        if !cfg!(target_os = "linux") && variables.len() < 2 {
            continue;
        }
        let source = create(&environment(variables), &options, &agent).expect("a source");
        let request = source.request(&query(&options), &agent).expect("a request");
        assert!(request.url.as_str().starts_with(start), "{}", request.url);
    }
}

#[test]
fn machine_learning_uses_the_default_identity_without_an_option() {
    let variables = with(MACHINE_LEARNING, &[(v::DEFAULT_IDENTITY_CLIENT_ID, "default")]);
    let partition = |options: &ApplicationOptions| {
        let source = open_source(&variables, options).expect("a source");
        source.cache_partition().to_owned()
    };
    assert!(url(&variables, &system_assigned()).ends_with("&clientid=default"));
    let own = user_assigned(IdKind::ClientId, "own");
    assert!(url(&variables, &own).ends_with("&clientid=own"));
    assert_eq!(
        (partition(&system_assigned()), partition(&own)),
        ("default".into(), "own".into())
    );
}

#[test]
fn only_service_fabric_is_pinned_and_only_workload_identity_uses_a_proxy() {
    for (variables, expected) in [
        (&[][..], 0),
        (APP_SERVICE, 0),
        (AZURE_ARC, 0),
        (CLOUD_SHELL, 0),
        (MACHINE_LEARNING, 0),
        (SERVICE_FABRIC, 1),
        (WORKLOAD_IDENTITY, 2),
    ] {
        let platform = platform(&[(FILE, FakeEntry::File(b"assertion".to_vec()))]);
        let options = system_assigned();
        // Only a workload identity uses the proxy of the environment.
        let env = environment(&with(variables, &[(v::HTTPS_PROXY, "http://proxy:3128")]));
        let source = create(&env, &options, &platform).expect("a source");
        let route = source
            .request(&query(&options), &platform)
            .expect("a request")
            .route;
        let kind = match route {
            Route::Direct => 0,
            Route::PinnedCertificate(_) => 1,
            Route::TokenProxy { .. } => 3,
            Route::ProxyAware(config) => {
                assert_eq!(config.proxy.as_deref(), Some("http://proxy:3128"));
                2
            }
        };
        assert_eq!(kind, expected, "{}", source.name().as_str());
        assert_eq!(source.supports_token_revocation_hash(), kind == 1);
    }
}
