//! The resource (audience) of a token. Only this module removes `/.default`.

use crate::error::{Code, Error};
use crate::options::UntypedValue;

/// The suffix of a resource that is written as a scope.
const DEFAULT_SCOPE_SUFFIX: &str = "/.default";
/// Resources are short; with a longer one the request line would exceed what endpoints accept.
const MAX_RESOURCE_BYTES: usize = 2_048;
const EXAMPLE: &str = "https://vault.azure.net";
/// About twice the length of the longest host name of an Azure API.
const MAX_HOST_LENGTH: usize = 80;

/// The absolute URI or GUID of the API that a token is for, exactly as in the request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource(String);

impl Resource {
    /// Parses a resource. Anything except an absolute URI or a GUID is an `invalid_resource` error.
    pub fn parse(value: &UntypedValue) -> Result<Self, Error> {
        let text = match value {
            UntypedValue::String(text) => text,
            UntypedValue::Undefined => {
                return Err(invalid_resource(&format!(
                    "No resource was given: name the API that the token is for, such as {EXAMPLE}."
                )));
            }
            other => {
                return Err(invalid_resource(&format!(
                    "It is {}; give a string, such as {EXAMPLE}.",
                    other.type_name()
                )));
            }
        };
        let resource = text.strip_suffix(DEFAULT_SCOPE_SUFFIX).unwrap_or(text);
        let is_printable = resource.len() <= MAX_RESOURCE_BYTES && !resource.contains(is_unprintable);
        if is_printable && (is_absolute_uri(resource) || is_guid(resource)) {
            Ok(Self(resource.to_owned()))
        } else {
            Err(invalid_resource(&describe_problem(resource)))
        }
    }

    /// Returns the text that is sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns the error for an invalid resource: msal-node's fixed sentence, then the problem.
fn invalid_resource(problem: &str) -> Error {
    let message = format!("The supplied resource is an invalid URL. {problem}");
    Error::new(Code::InvalidResource, message)
}

/// Describes the problem of a text and its remedy. The message does not repeat the text, which may be a secret by mistake.
/// The exception is a host name, the most common text without a scheme.
fn describe_problem(text: &str) -> String {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    if text.trim_matches(blank).is_empty() {
        format!("It is empty; name the API that the token is for, such as {EXAMPLE}.")
    } else if text.len() > MAX_RESOURCE_BYTES {
        format!("It has {} bytes; the limit is {MAX_RESOURCE_BYTES}.", text.len())
    } else if text.contains(is_unprintable) && !text.trim_matches(blank).contains(is_unprintable) {
        "It has leading or trailing white space: remove it.".to_owned()
    } else if text.contains(is_unprintable) {
        "It contains white space or control characters, which a resource cannot contain.".to_owned()
    } else if let Some(host) = bare_host(text) {
        format!("It has no scheme: did you mean https://{host}?")
    } else if text.contains(':') {
        format!("It has no scheme and host, as {EXAMPLE} has, and is not an api:// or urn: name.")
    } else {
        format!("It has neither a scheme, as {EXAMPLE} has, nor the form of a GUID.")
    }
}

/// Returns the host name if the text is one, possibly with slashes around it. Capital letters are not accepted, because
/// permission names and many secrets contain them.
fn bare_host(text: &str) -> Option<&str> {
    let name = text.strip_prefix("//").unwrap_or(text);
    let labels: Vec<&str> = name.strip_suffix('/').unwrap_or(name).split('.').collect();
    let is_label = |label: &&str| {
        let is_known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(is_known)
    };
    let is_host = labels.len() > 1 && name.len() <= MAX_HOST_LENGTH && labels.iter().all(is_label);
    let ends_in_letters = labels
        .last()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_lowercase()));
    (is_host && ends_in_letters).then_some(name)
}

/// Returns whether a character is white space, a control character, U+FEFF (white space in JavaScript) or U+FFFD, which
/// replaces a lone UTF-16 surrogate.
fn is_unprintable(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\u{feff}\u{fffd}".contains(c)
}

/// Returns whether a text is `scheme:rest` of RFC 3986. After `//` a host must follow; http and https require `//`.
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let has_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let is_complete = match rest.strip_prefix("//") {
        Some(hierarchy) => hierarchy.starts_with(|c| !"/?#:@".contains(c)),
        None => !is_web && !rest.is_empty(),
    };
    has_scheme && is_complete
}

/// Returns whether a text is a GUID: 8-4-4-4-12 hexadecimal digits.
pub fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<String> {
        Resource::parse(&UntypedValue::String(text.into()))
            .ok()
            .map(|resource| resource.0)
    }

    #[test]
    fn absolute_uris_and_guids_are_unchanged() {
        for text in [
            "https://vault.azure.net",
            "https://vault.azure.net/",
            "HTTPS://Vault.Azure.Net/a?b=c#d",
            "api://8f7d9c1e-0000-4000-8000-000000000001",
            "api://AzureADTokenExchange",
            "urn:example:audience",
            "00000003-0000-0000-C000-000000000000",
            "https://münchen.example/ä'()*",
        ] {
            assert_eq!(parse(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn one_default_scope_suffix_is_removed() {
        assert_eq!(
            parse("https://vault.azure.net/.default").as_deref(),
            Some("https://vault.azure.net")
        );
        assert_eq!(
            parse("https://vault.azure.net//.default").as_deref(),
            Some("https://vault.azure.net/")
        );
        let twice = parse("https://a.example/.default/.default");
        assert_eq!(twice.as_deref(), Some("https://a.example/.default"));
        assert_eq!(
            parse("https://a.example/.default/x").as_deref(),
            Some("https://a.example/.default/x")
        );
    }

    #[test]
    fn invalid_resources_are_rejected() {
        for text in [
            "",
            "/.default",
            "vault.azure.net",
            "//vault.azure.net",
            "https:",
            "https:vault",
            "https://",
            "https:///path",
            "https://:443",
            "api://",
            "urn:",
            ":x",
            "1a:x",
            "https://a b",
            " https://a",
            "https://a\n",
            "https://a\u{0}",
            "https://a\u{a0}b",
            "https://a\u{2003}",
            "https://a/\u{fffd}",
            "0000003-0000-0000-C000-000000000000",
            "00000003-0000-0000-C000-00000000000g",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
        assert_eq!(
            parse(&format!("https://a/{}", "x".repeat(MAX_RESOURCE_BYTES))),
            None
        );
        for value in [
            UntypedValue::Undefined,
            UntypedValue::Number(5.0),
            UntypedValue::Object,
            UntypedValue::Boolean(true),
        ] {
            let error = Resource::parse(&value).expect_err("invalid");
            let error = error.to_string();
            let prefix = "invalid_resource: The supplied resource is an invalid URL. ";
            assert!(error.starts_with(prefix) && error.ends_with('.'), "{error}");
        }
    }

    #[test]
    fn invalid_resource_error_describes_the_problem() {
        let text = |text: &str| UntypedValue::String(text.into());
        for (value, expected) in [
            (UntypedValue::Undefined, "No resource was given"),
            (UntypedValue::Object, "It is an object; give a string"),
            (text(""), "It is empty"),
            (text("/.default"), "It is empty"),
            (text(&"x".repeat(MAX_RESOURCE_BYTES + 1)), "It has 2049 bytes"),
            (text(" https://a"), "leading or trailing white space"),
            (text("https://a\u{feff}"), "leading or trailing white space"),
            (text("https://a b"), "contains white space or control"),
            (text("https://a\n"), "leading or trailing white space"),
            (text("vault.azure.net"), "did you mean https://vault.azure.net?"),
            (
                text("vault.azure.net/.default"),
                "did you mean https://vault.azure.net?",
            ),
            (
                text("//vault.azure.net/"),
                "did you mean https://vault.azure.net/?",
            ),
            (text("https://"), "no scheme and host"),
            (text("vault"), "neither a scheme"),
        ] {
            let error = Resource::parse(&value).expect_err("invalid").to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn possible_secret_is_not_repeated_in_the_error() {
        let long = "a".repeat(MAX_HOST_LENGTH);
        for text in [
            "User.Read",
            "s3cret",
            "s3cret.5",
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.c2ln",
            "hunter two.net",
            "hunter\u{1b}[31m.net",
            "user:secret@vault.azure.net/ ",
            &format!("{long}.net"),
        ] {
            let error = Resource::parse(&UntypedValue::String(text.into())).expect_err("invalid");
            assert!(!error.to_string().contains(text.trim()), "{error}");
            assert!(!error.to_string().contains("did you mean"), "{error}");
        }
    }
}
