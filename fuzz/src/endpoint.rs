//! The address of an endpoint: only an http or https URL with a host and without user info is accepted.
//!
//! The input is the value of a variable. The error for an invalid value must not repeat it.

use managed_identity_native::error::Code;
use managed_identity_native::http::Url;
use managed_identity_native::source::Endpoint;

use crate::fake_platform;

const VARIABLE: &str = "MSI_ENDPOINT";
/// Request parameters with characters that would change another parameter if they were not encoded.
const PARAMETERS: [(&str, &str); 2] = [("api-version", "1&2"), ("resource", "https://a/b?c=d#e")];
const ENCODED_PARAMETERS: &str = "api-version=1%262&resource=https%3A%2F%2Fa%2Fb%3Fc%3Dd%23e";

/// Checks the endpoint or the error of a variable.
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
            // A message with one of these texts cannot contain the value.
            assert!(REASONS.iter().any(|reason| message.contains(reason)), "{message}");
            return;
        }
    };
    let url = endpoint.with_query(&[]);
    assert_is_valid(&url);
    assert_eq!(endpoint.is_https(), url.scheme() == "https");
    assert_eq!(url.host_str(), Some(endpoint.host()));
    let again =
        Endpoint::parse(VARIABLE, &Code::MsiEndpointMalformed, url.as_str()).expect("valid once more");
    assert_eq!(again.with_query(&[]), url, "parsing is idempotent");

    let without_query = endpoint.without_query();
    assert!(
        !without_query.contains(['?', '@', '#']) || url.path().contains('@'),
        "{without_query}"
    );
    let requested = endpoint.with_query(&PARAMETERS);
    assert!(
        requested.as_str().starts_with(url.as_str().trim_end_matches('?')),
        "{requested}"
    );
    assert!(requested.as_str().ends_with(ENCODED_PARAMETERS), "{requested}");
    let separator = requested
        .as_str()
        .strip_suffix(ENCODED_PARAMETERS)
        .and_then(|own| own.chars().last());
    assert!(matches!(separator, Some('?' | '&')), "{requested}");
    assert_same_address(&requested, &url);
    let last: Vec<_> = requested.query_pairs().collect();
    let last: Vec<_> = last
        .iter()
        .rev()
        .take(2)
        .rev()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    assert_eq!(last, PARAMETERS, "the parameters can be decoded");

    check_sources(&text, &url);
}

const REASONS: [&str; 12] = [
    "is not an absolute http(s) URL.",
    "is a URL without a host.",
    "is a URL with a user name or password, which an endpoint cannot have.",
    "is a URL with a fragment (#), which an endpoint cannot have.",
    "is not a valid URL (empty host).",
    "is not a valid URL (invalid port number).",
    "is not a valid URL (invalid IPv4 address).",
    "is not a valid URL (invalid IPv6 address).",
    "is not a valid URL (invalid domain character).",
    "is not a valid URL (invalid international domain name).",
    "is not a valid URL (invalid international domain name; write a host name with non-ASCII characters as Punycode, xn--…).",
    "is not a valid URL (relative URL without a base).",
];

fn assert_is_valid(url: &Url) {
    assert!(["http", "https"].contains(&url.scheme()), "{url}");
    assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{url}");
    assert!(
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
        "{url}"
    );
    // The same check without the URL parser that the add-on's crate uses.
    let rest = url.as_str().split_once("://").expect("absolute").1;
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    assert!(
        !authority.is_empty() && !authority.contains('@') && !rest.contains('#'),
        "{url}"
    );
}

fn assert_same_address(one: &Url, other: &Url) {
    let address = |url: &Url| {
        let host = url.host_str().map(str::to_owned);
        (
            url.scheme().to_owned(),
            host,
            url.port_or_known_default(),
            url.path().to_owned(),
        )
    };
    assert_eq!(address(one), address(other));
}

/// Every source sends its requests to the address in its variable.
fn check_sources(text: &str, url: &Url) {
    let platform = fake_platform::platform(&<_>::default());
    let query = fake_platform::query("https://vault.azure.net");
    let sent = |source: &dyn managed_identity_native::source::Source| {
        let url = source.request(&query, &platform).expect("a request").url;
        assert_is_valid(&url);
        url
    };
    let app_service = fake_platform::create_source([("IDENTITY_ENDPOINT", text), ("IDENTITY_HEADER", "h")]);
    assert_same_address(&sent(&*app_service.expect("App Service")), url);
    let cloud_shell = fake_platform::create_source([("MSI_ENDPOINT", text)]);
    assert_same_address(&sent(&*cloud_shell.expect("Cloud Shell")), url);
    let arc = fake_platform::create_source([("IDENTITY_ENDPOINT", text), ("IMDS_ENDPOINT", text)])
        .expect("Azure Arc");
    let arc = sent(&*arc);
    let host = if url.host_str() == Some("localhost") {
        Some("127.0.0.1")
    } else {
        url.host_str()
    };
    assert_eq!(arc.host_str(), host);
    assert_eq!((arc.port(), arc.path()), (url.port(), url.path()));
    if let Ok(imds) = fake_platform::create_source([("AZURE_POD_IDENTITY_AUTHORITY_HOST", text)]) {
        let imds = sent(&*imds);
        assert_eq!((imds.host_str(), imds.port()), (url.host_str(), url.port()));
        let path = format!(
            "{}/metadata/identity/oauth2/token",
            url.path().trim_end_matches('/')
        );
        assert_eq!(imds.path(), path);
    } else {
        assert!(url.query().is_some(), "IMDS rejects only a query: {url}");
    }
}
