//! The resource: an accepted one is a single parameter of the request and can be decoded from it unchanged.
//!
//! The input is the resource of a caller. The target has its own `encodeURIComponent`.

use std::fmt::Write as _;

use managed_identity_native::options::UntypedValue;
use managed_identity_native::options::resource::Resource;
use managed_identity_native::token::Secret;

use crate::fake_platform;

const ENDPOINT: &str = "http://127.0.0.1:8081/msi/token";

/// Checks the requests or the error for a resource.
pub fn check(data: &[u8]) {
    let input = String::from_utf8_lossy(data);
    let Ok(resource) = Resource::parse(&UntypedValue::String(input.clone().into_owned())) else {
        return assert_suffix_is_rejected(&input);
    };
    let text = resource.as_str();
    assert_eq!(
        text,
        input.strip_suffix("/.default").unwrap_or(&input),
        "it is sent unchanged"
    );
    assert!(text.len() <= 2_048, "{} bytes", text.len());
    assert!(
        !text.chars().any(|c| c.is_whitespace() || c.is_control()),
        "{text:?}"
    );
    assert!(is_guid(text) || has_scheme(text), "{text:?}");

    let source = fake_platform::create_source([("IDENTITY_ENDPOINT", ENDPOINT), ("IDENTITY_HEADER", "h")])
        .expect("App Service");
    let platform = fake_platform::platform(&<_>::default());
    let request = source
        .request(&fake_platform::query(&input), &platform)
        .expect("a request");
    let expected = format!(
        "{ENDPOINT}?api-version=2019-08-01&resource={}",
        encode_uri_component(text)
    );
    assert_eq!(request.url.as_str(), expected.replace('\'', "%27"));
    let pairs: Vec<_> = request.url.query_pairs().collect();
    assert_eq!(pairs.len(), 2, "{}", request.url);
    assert_eq!(
        (&*pairs[1].0, &*pairs[1].1),
        ("resource", text),
        "the resource can be decoded"
    );

    let source = fake_platform::create_source([("MSI_ENDPOINT", ENDPOINT)]).expect("Cloud Shell");
    let request = source
        .request(&fake_platform::query(&input), &platform)
        .expect("a request");
    assert_eq!(request.url.as_str(), ENDPOINT);
    let body = request.body.as_ref().map(Secret::expose_secret);
    assert_eq!(body, Some(&*format!("resource={}", encode_uri_component(text))));
}

/// A rejected resource is also rejected with the suffix `/.default`, unless it ends with that suffix already.
fn assert_suffix_is_rejected(input: &str) {
    let suffixed = UntypedValue::String(format!("{input}/.default"));
    assert!(
        input.ends_with("/.default") || Resource::parse(&suffixed).is_err(),
        "{input:?}"
    );
}

fn has_scheme(text: &str) -> bool {
    let scheme = text.split(':').next().unwrap_or_default();
    let rest = text.get(scheme.len() + 1..).unwrap_or_default();
    let web = ["http", "https"].contains(&scheme.to_ascii_lowercase().as_str());
    let host = rest
        .trim_start_matches('/')
        .split(['/', '?', '#', ':', '@'])
        .next();
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.is_empty()
        && (!web || rest.starts_with("//") && host.is_some_and(|host| !host.is_empty()))
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    let lengths: Vec<_> = groups.iter().map(|group| group.len()).collect();
    lengths == [8, 4, 4, 4, 12] && groups.concat().bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Encodes a text like ECMAScript's `encodeURIComponent`.
fn encode_uri_component(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}
