//! The address of an endpoint: http or https with a host and no user info, and nothing else.
//!
//! The input is the value of a variable. The error for a bad one must not repeat it.

use managed_identity_native::error::Code;
use managed_identity_native::http::Url;
use managed_identity_native::source::Endpoint;

use crate::fake_platform;

const VARIABLE: &str = "MSI_ENDPOINT";
/// Parameters that would be seen if one of them changed another's meaning.
const OURS: [(&str, &str); 2] = [("api-version", "1&2"), ("resource", "https://a/b?c=d#e")];
const OURS_ENCODED: &str = "api-version=1%262&resource=https%3A%2F%2Fa%2Fb%3Fc%3Dd%23e";

/// Checks what becomes of a variable.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let endpoint = match Endpoint::parse(VARIABLE, &Code::MsiEndpointMalformed, &text) {
        Ok(endpoint) => endpoint,
        Err(error) => {
            let message = &error.details().message;
            assert_eq!(*error.code(), Code::MsiEndpointMalformed);
            assert!(
                message.starts_with("The environment variable MSI_ENDPOINT is "),
                "{message}"
            );
            // A message that cannot hold the value is one of a handful.
            assert!(REASONS.iter().any(|reason| message.contains(reason)), "{message}");
            return;
        }
    };
    let url = endpoint.with_query(&[]);
    assert_is_an_address(&url);
    assert_eq!(endpoint.is_https(), url.scheme() == "https");
    assert_eq!(url.host_str(), Some(endpoint.host()));
    let again =
        Endpoint::parse(VARIABLE, &Code::MsiEndpointMalformed, url.as_str()).expect("valid once more");
    assert_eq!(again.with_query(&[]), url, "it stays what it is");

    let shown = endpoint.without_query();
    assert!(
        !shown.contains(['?', '@', '#']) || url.path().contains('@'),
        "{shown}"
    );
    let asked = endpoint.with_query(&OURS);
    assert!(
        asked.as_str().starts_with(url.as_str().trim_end_matches('?')),
        "{asked}"
    );
    assert!(asked.as_str().ends_with(OURS_ENCODED), "{asked}");
    let separator = asked
        .as_str()
        .strip_suffix(OURS_ENCODED)
        .and_then(|own| own.chars().last());
    assert!(matches!(separator, Some('?' | '&')), "{asked}");
    assert_same_place(&asked, &url);
    let last: Vec<_> = asked.query_pairs().collect();
    let last: Vec<_> = last
        .iter()
        .rev()
        .take(2)
        .rev()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(last, OURS, "ours are understood");

    check_sources(&text, &url);
}

const REASONS: [&str; 12] = [
    "is no absolute http or https URL.",
    "is a URL without a host.",
    "is a URL with a user name or password, which an endpoint cannot have.",
    "is a URL with a fragment (#), which an endpoint cannot have.",
    "is no URL (empty host).",
    "is no URL (invalid port number).",
    "is no URL (invalid IPv4 address).",
    "is no URL (invalid IPv6 address).",
    "is no URL (invalid domain character).",
    "is no URL (invalid international domain name).",
    "is no URL (invalid international domain name; write a host name outside of ASCII as Punycode, xn--…).",
    "is no URL (relative URL without a base).",
];

fn assert_is_an_address(url: &Url) {
    assert!(["http", "https"].contains(&url.scheme()), "{url}");
    assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{url}");
    assert!(
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
        "{url}"
    );
    // The same once more, without the parser that the crate itself asks.
    let rest = url.as_str().split_once("://").expect("absolute").1;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    assert!(
        !authority.is_empty() && !authority.contains('@') && !rest.contains('#'),
        "{url}"
    );
}

fn assert_same_place(one: &Url, other: &Url) {
    let place = |url: &Url| {
        let host = url.host_str().map(str::to_owned);
        (
            url.scheme().to_owned(),
            host,
            url.port_or_known_default(),
            url.path().to_owned(),
        )
    };
    assert_eq!(place(one), place(other));
}

/// A request goes to the address that its variable names, whatever host has it.
fn check_sources(text: &str, url: &Url) {
    let platform = fake_platform::platform(&<_>::default());
    let query = fake_platform::query("https://vault.azure.net");
    let sent = |source: &dyn managed_identity_native::source::Source| {
        let url = source.request(&query, &platform).expect("a request").url;
        assert_is_an_address(&url);
        url
    };
    let app_service = fake_platform::open([("IDENTITY_ENDPOINT", text), ("IDENTITY_HEADER", "h")]);
    assert_same_place(&sent(&*app_service.expect("App Service")), url);
    let cloud_shell = fake_platform::open([("MSI_ENDPOINT", text)]);
    assert_same_place(&sent(&*cloud_shell.expect("Cloud Shell")), url);
    let arc = fake_platform::open([("IDENTITY_ENDPOINT", text), ("IMDS_ENDPOINT", text)]).expect("Azure Arc");
    let arc = sent(&*arc);
    let host = if url.host_str() == Some("localhost") {
        Some("127.0.0.1")
    } else {
        url.host_str()
    };
    assert_eq!(arc.host_str(), host);
    assert_eq!((arc.port(), arc.path()), (url.port(), url.path()));
    if let Ok(imds) = fake_platform::open([("AZURE_POD_IDENTITY_AUTHORITY_HOST", text)]) {
        let imds = sent(&*imds);
        assert_eq!((imds.host_str(), imds.port()), (url.host_str(), url.port()));
        let path = format!(
            "{}/metadata/identity/oauth2/token",
            url.path().trim_end_matches('/')
        );
        assert_eq!(imds.path(), path);
    } else {
        assert!(url.query().is_some(), "only a query stands in IMDS's way: {url}");
    }
}
