//! What a token is for: the audience. `/.default` is removed here and nowhere else.

use crate::config::Given;
use crate::error::{Code, Error};

/// A resource in the shape of a scope ends so.
const DEFAULT_SCOPE_SUFFIX: &str = "/.default";
/// Audiences are short; a longer one would not fit a request line that hosts accept.
const LIMIT: usize = 2_048;

/// An absolute URI or a GUID that names the API a token is for, exactly as it was given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Resource(String);

impl Resource {
    /// Takes what a caller gave. Everything but an absolute URI or a GUID is `invalid_resource`.
    pub fn parse(given: &Given) -> Result<Self, Error> {
        let Given::Text(text) = given else {
            return Err(invalid());
        };
        let resource = text.strip_suffix(DEFAULT_SCOPE_SUFFIX).unwrap_or(text);
        // U+FEFF is white space to JavaScript; U+FFFD is what a lone UTF-16 surrogate arrives as.
        let unprintable = |c: char| c.is_whitespace() || c.is_control() || "\u{feff}\u{fffd}".contains(c);
        if resource.len() > LIMIT || resource.contains(unprintable) {
            return Err(invalid());
        }
        if is_absolute_uri(resource) || is_guid(resource) {
            Ok(Self(resource.to_owned()))
        } else {
            Err(invalid())
        }
    }

    /// The text that goes on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn invalid() -> Error {
    Error::new(Code::InvalidResource, "The supplied resource is an invalid URL.")
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
        Resource::parse(&Given::Text(text.into()))
            .ok()
            .map(|resource| resource.0)
    }

    #[test]
    fn absolute_uris_and_guids_pass_as_they_are() {
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
    fn everything_else_is_refused() {
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
        assert_eq!(parsed(&format!("https://a/{}", "x".repeat(LIMIT))), None);
        for given in [
            Given::Absent,
            Given::Number(5.0),
            Given::Object,
            Given::Boolean(true),
        ] {
            let error = Resource::parse(&given).expect_err("refused");
            assert_eq!(
                error.to_string(),
                "invalid_resource: The supplied resource is an invalid URL."
            );
        }
    }
}
