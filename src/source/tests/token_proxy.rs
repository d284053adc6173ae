//! AKS identity bindings: the same request, by the cluster's proxy.

use super::*;
use crate::http::tls::Roots;
use crate::http::{Method, Route};
use crate::platform::Pem;
use crate::test_support::CERTIFICATE;

const PROXY: (&str, &str) = (v::AZURE_KUBERNETES_TOKEN_PROXY, "https://10.0.0.1:6443/proxy");
const SNI: (&str, &str) = (v::AZURE_KUBERNETES_SNI_NAME, "token-proxy.example");
const DATA: (&str, &str) = (v::AZURE_KUBERNETES_CA_DATA, CERTIFICATE);
const CA_FILE: (&str, &str) = (v::AZURE_KUBERNETES_CA_FILE, "/ca.pem");
const BEHIND_PROXY: (&str, &str) = (v::HTTPS_PROXY, "\"not a URL\"");

fn bound() -> ApplicationOptions {
    options(|raw| raw.enable_azure_proxy = crate::options::UntypedValue::Boolean(true))
}

fn open_with(variables: Variables<'_>, options: &ApplicationOptions) -> SourceResult {
    opened(&with(WORKLOAD_IDENTITY, variables), options)
}

fn token_files() -> Arc<FakeFiles> {
    let files = Arc::new(FakeFiles::default());
    files.put(FILE, FakeEntry::File(b"assertion".to_vec()));
    files
}

fn request_with(
    variables: Variables<'_>,
    options: &ApplicationOptions,
    files: &Arc<FakeFiles>,
) -> Result<Request, Error> {
    let platform = test_support::platform(&FakeClock::new(), files);
    open_with(variables, options)?.request(&query(options), &platform)
}

#[test]
fn proxied_request_uses_its_server_name_and_certificates() {
    let tenant = "8f7d9c1e-0000-4000-8000-00000000000a";
    let only = Roots::Only(Pem::new(CERTIFICATE.as_bytes()));
    for (variables, server_name, roots) in [
        (&[PROXY][..], None, Roots::default()),
        (&[PROXY, SNI], Some(SNI.1), Roots::default()),
        (&[PROXY, DATA], None, only.clone()),
        (&[PROXY, SNI, CA_FILE], Some(SNI.1), only.clone()),
        // Another proxy has no part in it.
        (&[PROXY, SNI, DATA, BEHIND_PROXY], Some(SNI.1), only),
    ] {
        let files = token_files();
        files.put(CA_FILE.1, FakeEntry::Link(CERTIFICATE.into()));
        let request = request_with(variables, &bound(), &files).expect("a request");
        let plain = request_with(&[], &system_assigned(), &files).expect("a request");
        assert_eq!(
            request.url.as_str(),
            format!("https://10.0.0.1:6443/proxy/{tenant}/oauth2/v2.0/token")
        );
        assert_eq!(
            request.route,
            Route::TokenProxy {
                server_name: server_name.map(str::to_owned)
            }
        );
        assert_eq!((request.roots, request.method), (roots, Method::Post));
        let text = |body: &Option<Secret>| body.as_ref().map(|body| body.expose_secret().to_owned());
        assert_eq!(
            text(&request.body),
            text(&plain.body),
            "Entra gets what it would get"
        );
    }
}

#[test]
fn token_proxy_path_precedes_the_authority_path() {
    for (proxy, expected) in [
        ("https://p", "https://p/root/T/oauth2/v2.0/token"),
        ("https://p/", "https://p/root/T/oauth2/v2.0/token"),
        ("https://p:1/a/b/", "https://p:1/a/b/root/T/oauth2/v2.0/token"),
    ] {
        let variables = [
            (v::AZURE_KUBERNETES_TOKEN_PROXY, proxy),
            (v::AZURE_AUTHORITY_HOST, "https://login.example/root/"),
            (v::AZURE_TENANT_ID, "T"),
        ];
        let source = open_with(&variables, &bound()).expect("opened");
        assert_eq!(source.endpoint().with_query(&[]).as_str(), expected);
    }
}

#[test]
fn without_the_option_or_the_variables_nothing_changes() {
    for (variables, options) in [
        (&[PROXY, SNI, DATA, CA_FILE][..], system_assigned()),
        (&[SNI], system_assigned()),
        (&[], bound()),
        (&[(v::AZURE_KUBERNETES_TOKEN_PROXY, "")], bound()),
    ] {
        let request = request_with(variables, &options, &token_files()).expect("a request");
        assert!(matches!(request.route, Route::ProxyAware(_)));
        assert_eq!(request.url.host_str(), Some("login.microsoftonline.com"));
    }
}

#[test]
fn invalid_variable_is_named_before_any_read() {
    let url = |text| vec![(v::AZURE_KUBERNETES_TOKEN_PROXY, text)];
    for (variables, named) in [
        (vec![SNI], "AZURE_KUBERNETES_SNI_NAME"),
        (vec![CA_FILE], "AZURE_KUBERNETES_CA_FILE"),
        (vec![DATA], "AZURE_KUBERNETES_CA_DATA"),
        (url("http://h"), "AZURE_KUBERNETES_TOKEN_PROXY"),
        (url("h:6443"), "AZURE_KUBERNETES_TOKEN_PROXY"),
        (url("https://"), "AZURE_KUBERNETES_TOKEN_PROXY"),
        (url("https://user@h"), "AZURE_KUBERNETES_TOKEN_PROXY"),
        (url("https://user:hush@h"), "AZURE_KUBERNETES_TOKEN_PROXY"),
        (url("https://h/?a=hush"), "AZURE_KUBERNETES_TOKEN_PROXY"),
        (url("https://h/#hush"), "AZURE_KUBERNETES_TOKEN_PROXY"),
        (vec![PROXY, DATA, CA_FILE], "AZURE_KUBERNETES_CA_FILE"),
        (
            vec![PROXY, (v::AZURE_KUBERNETES_CA_DATA, "hush")],
            "AZURE_KUBERNETES_CA_DATA",
        ),
        (
            vec![PROXY, (v::AZURE_KUBERNETES_SNI_NAME, "a b")],
            "AZURE_KUBERNETES_SNI_NAME",
        ),
        (
            vec![PROXY, (v::AZURE_KUBERNETES_SNI_NAME, "https://hush")],
            "AZURE_KUBERNETES_SNI_NAME",
        ),
    ] {
        let error = refused(open_with(&variables, &bound()));
        assert_eq!(*error.code(), Code::InvalidConfiguration, "{named}");
        let message = error.to_string();
        assert!(message.contains(named) && !message.contains("hush"), "{message}");
    }
}

#[test]
fn certificate_file_is_read_for_each_request() {
    let (files, options) = (token_files(), bound());
    let roots = || request_with(&[PROXY, CA_FILE], &options, &files).map(|request| request.roots);
    let holds = |text: &str| files.put(CA_FILE.1, FakeEntry::File(text.as_bytes().to_vec()));
    let refused = || {
        let error = roots().expect_err("no authority");
        assert_eq!(*error.code(), Code::InvalidConfiguration);
        let message = error.to_string();
        assert!(
            message.contains("AZURE_KUBERNETES_CA_FILE") && message.contains("/ca.pem"),
            "{message}"
        );
    };
    refused(); // The file does not exist.
    holds("");
    refused(); // Nothing was read before.
    holds("no certificate");
    refused();
    holds(CERTIFICATE);
    let first = roots().expect("an authority");
    let both = format!("{CERTIFICATE}{CERTIFICATE}");
    holds(&both);
    assert_eq!(
        roots().expect("an authority"),
        Roots::Only(Pem::new(both.as_bytes()))
    );
    holds(CERTIFICATE);
    assert_eq!(roots().expect("an authority"), first);
    holds(""); // In the middle of a replacement.
    assert_eq!(roots().expect("the one before"), first);
    holds("no certificate");
    refused();
    files.put(CA_FILE.1, FakeEntry::Locked);
    refused();
}

#[test]
fn custom_client_is_rejected_if_proxy_has_own_server_name_or_certificates() {
    let mut by_caller = bound();
    by_caller.has_custom_transport = true;
    for (variables, is_taken) in [
        (&[PROXY][..], true),
        (&[PROXY, SNI], false),
        (&[PROXY, DATA], false),
        (&[], true),
    ] {
        let opened = open_with(variables, &by_caller);
        assert_eq!(opened.is_ok(), is_taken, "{variables:?}");
        if let Err(error) = opened {
            assert!(error.to_string().contains("system.enableAzureProxy"), "{error}");
        }
    }
}
