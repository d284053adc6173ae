//! What a token is for: the audience. `/.default` is removed here and nowhere else.

use crate::error::{Code, Error};
use crate::options::UntypedValue;

/// A resource in the shape of a scope ends so.
const DEFAULT_SCOPE_SUFFIX: &str = "/.default";
/// Audiences are short; a longer one would not fit a request line that hosts accept.
const MAX_RESOURCE_BYTES: usize = 2_048;
const EXAMPLE: &str = "https://vault.azure.net";
/// Hosts of Azure's APIs have half of it.
const MAX_HOST_LENGTH: usize = 80;

/// An absolute URI or a GUID that names the API a token is for, exactly as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource(String);

impl Resource {
    /// Takes what a caller gave. Everything but an absolute URI or a GUID is `invalid_resource`.
    pub fn parse(given: &UntypedValue) -> Result<Self, Error> {
        let text = match given {
            UntypedValue::String(text) => text,
            UntypedValue::Undefined => {
                return Err(invalid_resource(&format!(
                    "None was given: name the API that the token is for, such as {EXAMPLE}."
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
        let is_proper = resource.len() <= MAX_RESOURCE_BYTES && !resource.contains(is_unprintable);
        if is_proper && (is_absolute_uri(resource) || is_guid(resource)) {
            Ok(Self(resource.to_owned()))
        } else {
            Err(invalid_resource(&describe_problem(resource)))
        }
    }

    /// The text that goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The first sentence is msal-node's, and fixed; what follows is about the case at hand.
fn invalid_resource(fault: &str) -> Error {
    let message = format!("The supplied resource is an invalid URL. {fault}");
    Error::new(Code::InvalidResource, message)
}

/// What is wrong with a text, and what helps. It is not repeated, for it may be anything, a secret in the wrong
/// place too; but for a host's name, which is what most people write who leave the scheme out.
fn describe_problem(text: &str) -> String {
    let blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    if text.trim_matches(blank).is_empty() {
        format!("It is empty; name the API that the token is for, such as {EXAMPLE}.")
    } else if text.len() > MAX_RESOURCE_BYTES {
        format!(
            "It has {} bytes, and at most {MAX_RESOURCE_BYTES} are sent.",
            text.len()
        )
    } else if text.contains(is_unprintable) && !text.trim_matches(blank).contains(is_unprintable) {
        "It has white space before or behind it: take that away.".to_owned()
    } else if text.contains(is_unprintable) {
        "It contains white space or control characters, which no resource has.".to_owned()
    } else if let Some(host) = bare_host(text) {
        format!("It has no scheme: did you mean https://{host}?")
    } else if text.contains(':') {
        format!("It has no scheme and host as {EXAMPLE} has, and is no api:// or urn: name either.")
    } else {
        format!("It has neither a scheme, as {EXAMPLE} has, nor the form of a GUID.")
    }
}

/// A host's name where a URL should stand, perhaps with slashes around it. Capitals are not taken: names of
/// permissions and many secrets have them.
fn bare_host(text: &str) -> Option<&str> {
    let name = text.strip_prefix("//").unwrap_or(text);
    let labels: Vec<&str> = name.strip_suffix('/').unwrap_or(name).split('.').collect();
    let is_label = |label: &&str| {
        let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(known)
    };
    let is_host = labels.len() > 1 && name.len() <= MAX_HOST_LENGTH && labels.iter().all(is_label);
    let ends_in_letters = labels
        .last()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_lowercase()));
    (is_host && ends_in_letters).then_some(name)
}

/// White space and control characters. U+FEFF is white space to JavaScript; U+FFFD is what a lone UTF-16 surrogate
/// arrives as.
fn is_unprintable(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\u{feff}\u{fffd}".contains(c)
}

/// `scheme:rest` of RFC 3986; after `//`, and always for http and https, a host must follow.
fn is_absolute_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let named = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    let complete = match rest.strip_prefix("//") {
        Some(hierarchy) => hierarchy.starts_with(|c| !"/?#:@".contains(c)),
        None => !web && !rest.is_empty(),
    };
    named && complete
}

/// 8-4-4-4-12 hexadecimal digits.
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

    fn parsed(text: &str) -> Option<String> {
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
            assert_eq!(parsed(text).as_deref(), Some(text));
        }
    }

    #[test]
    fn one_default_scope_suffix_is_removed() {
        assert_eq!(
            parsed("https://vault.azure.net/.default").as_deref(),
            Some("https://vault.azure.net")
        );
        assert_eq!(
            parsed("https://vault.azure.net//.default").as_deref(),
            Some("https://vault.azure.net/")
        );
        let twice = parsed("https://a.example/.default/.default");
        assert_eq!(twice.as_deref(), Some("https://a.example/.default"));
        assert_eq!(
            parsed("https://a.example/.default/x").as_deref(),
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
            assert_eq!(parsed(text), None, "{text:?}");
        }
        assert_eq!(
            parsed(&format!("https://a/{}", "x".repeat(MAX_RESOURCE_BYTES))),
            None
        );
        for given in [
            UntypedValue::Undefined,
            UntypedValue::Number(5.0),
            UntypedValue::Object,
            UntypedValue::Boolean(true),
        ] {
            let error = Resource::parse(&given).expect_err("refused");
            let error = error.to_string();
            let fixed = "invalid_resource: The supplied resource is an invalid URL. ";
            assert!(error.starts_with(fixed) && error.ends_with('.'), "{error}");
        }
    }

    #[test]
    fn invalid_resource_error_describes_the_problem() {
        let text = |text: &str| UntypedValue::String(text.into());
        for (given, said) in [
            (UntypedValue::Undefined, "None was given"),
            (UntypedValue::Object, "It is an object; give a string"),
            (text(""), "It is empty"),
            (text("/.default"), "It is empty"),
            (text(&"x".repeat(MAX_RESOURCE_BYTES + 1)), "It has 2049 bytes"),
            (text(" https://a"), "white space before or behind"),
            (text("https://a\u{feff}"), "white space before or behind"),
            (text("https://a b"), "contains white space or control"),
            (text("https://a\n"), "white space before or behind"),
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
            let error = Resource::parse(&given).expect_err("refused").to_string();
            assert!(error.contains(said), "{error}");
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
            let error = Resource::parse(&UntypedValue::String(text.into())).expect_err("refused");
            assert!(!error.to_string().contains(text.trim()), "{error}");
            assert!(!error.to_string().contains("did you mean"), "{error}");
        }
    }
}
