//! AKS identity bindings: token requests through the cluster's proxy.

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

fn proxy_options() -> ApplicationOptions {
    options(|raw| raw.enable_azure_proxy = crate::options::UntypedValue::Boolean(true))
}

fn open_with(variables: Variables<'_>, options: &ApplicationOptions) -> SourceResult {
    open_source(&with(WORKLOAD_IDENTITY, variables), options)
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
        // `HTTPS_PROXY` is not read.
        (&[PROXY, SNI, DATA, BEHIND_PROXY], Some(SNI.1), only),
    ] {
        let files = token_files();
        files.put(CA_FILE.1, FakeEntry::Link(CERTIFICATE.into()));
        let request = request_with(variables, &proxy_options(), &files).expect("a request");
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
            "the form is the same as for Entra"
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
        let source = open_with(&variables, &proxy_options()).expect("a source");
        assert_eq!(source.endpoint().with_query(&[]).as_str(), expected);
    }
}

#[test]
fn without_the_option_or_the_variables_nothing_changes() {
    for (variables, options) in [
        (&[PROXY, SNI, DATA, CA_FILE][..], system_assigned()),
        (&[SNI], system_assigned()),
        (&[], proxy_options()),
        (&[(v::AZURE_KUBERNETES_TOKEN_PROXY, "")], proxy_options()),
    ] {
        let request = request_with(variables, &options, &token_files()).expect("a request");
        assert!(matches!(request.route, Route::ProxyAware(_)));
        assert_eq!(request.url.host_str(), Some("login.microsoftonline.com"));
    }
}

#[test]
fn invalid_variable_is_named_before_any_read() {
    let url = |text| vec![(v::AZURE_KUBERNETES_TOKEN_PROXY, text)];
    for (variables, variable) in [
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
        let error = creation_error(open_with(&variables, &proxy_options()));
        assert_eq!(*error.code(), Code::InvalidConfiguration, "{variable}");
        let message = error.to_string();
        assert!(
            message.contains(variable) && !message.contains("hush"),
            "{message}"
        );
    }
}

#[test]
fn certificate_file_is_read_for_each_request() {
    let (files, options) = (token_files(), proxy_options());
    let roots = || request_with(&[PROXY, CA_FILE], &options, &files).map(|request| request.roots);
    let write_file = |text: &str| files.put(CA_FILE.1, FakeEntry::File(text.as_bytes().to_vec()));
    let assert_rejected = || {
        let error = roots().expect_err("an error");
        assert_eq!(*error.code(), Code::InvalidConfiguration);
        let message = error.to_string();
        assert!(
            message.contains("AZURE_KUBERNETES_CA_FILE") && message.contains("/ca.pem"),
            "{message}"
        );
    };
    assert_rejected(); // The file does not exist.
    write_file("");
    assert_rejected(); // The file has had no earlier content.
    write_file("not a certificate");
    assert_rejected();
    write_file(CERTIFICATE);
    let first = roots().expect("an authority");
    let both = format!("{CERTIFICATE}{CERTIFICATE}");
    write_file(&both);
    assert_eq!(
        roots().expect("an authority"),
        Roots::Only(Pem::new(both.as_bytes()))
    );
    write_file(CERTIFICATE);
    assert_eq!(roots().expect("an authority"), first);
    write_file(""); // During a replacement.
    assert_eq!(roots().expect("the earlier authority"), first);
    write_file("not a certificate");
    assert_rejected();
    files.put(CA_FILE.1, FakeEntry::Locked);
    assert_rejected();
}

#[test]
fn custom_client_is_rejected_if_proxy_has_own_server_name_or_certificates() {
    let mut custom_client = proxy_options();
    custom_client.has_custom_transport = true;
    for (variables, is_accepted) in [
        (&[PROXY][..], true),
        (&[PROXY, SNI], false),
        (&[PROXY, DATA], false),
        (&[], true),
    ] {
        let result = open_with(variables, &custom_client);
        assert_eq!(result.is_ok(), is_accepted, "{variables:?}");
        if let Err(error) = result {
            assert!(error.to_string().contains("system.enableAzureProxy"), "{error}");
        }
    }
}
