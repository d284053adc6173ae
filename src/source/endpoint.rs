//! The address of a token endpoint, as an environment variable gives it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Code, Error};
use crate::http::Url;

/// The characters that `encodeURIComponent` encodes.
const URI_COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// An absolute http or https URL with a host, without user info and fragment.
#[derive(Clone, Debug)]
pub struct Endpoint(Url);

impl Endpoint {
    /// Parses the value of a variable. The error does not repeat the value, which may contain a password.
    pub fn parse(variable: &str, malformed: &Code, text: &str) -> Result<Self, Error> {
        let invalid = |reason: &str| {
            Error::new(
                malformed.clone(),
                format!("The environment variable {variable} {reason}."),
            )
        };
        let lower = text.trim().to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Err(invalid("is not an absolute http(s) URL"));
        }
        let url = Url::parse(text).map_err(|error| {
            let reason = error.to_string();
            let remedy = if reason.contains("international") && !text.is_ascii() {
                "; write a host name with non-ASCII characters as Punycode, xn--…"
            } else {
                ""
            };
            invalid(&format!("is not a valid URL ({reason}{remedy})"))
        })?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("is a URL without a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "is a URL with a user name or password, which an endpoint cannot have",
            ));
        }
        if url.fragment().is_some() {
            return Err(invalid(
                "is a URL with a fragment (#), which an endpoint cannot have",
            ));
        }
        Ok(Self(url))
    }

    /// Returns whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// Returns the host, normalized as in a URL.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// Returns the path, percent-encoded as in a URL.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Replaces the host.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        // This fails only for an invalid host, which no caller passes.
        let _ = self.0.set_host(Some(host));
        self
    }

    /// Appends a path; `None` if the address has a query, which would end up before that path.
    pub fn with_path(mut self, path: &str) -> Option<Self> {
        if self.0.query().is_some() {
            return None;
        }
        let joined = format!("{}{path}", self.0.path().trim_end_matches('/'));
        self.0.set_path(&joined);
        Some(self)
    }

    /// Returns the address with these parameters after its own.
    pub fn with_query(&self, parameters: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        if parameters.is_empty() {
            return url;
        }
        let added = form_urlencode(parameters);
        let query = match url.query().filter(|query| !query.is_empty()) {
            Some(own) => format!("{own}&{added}"),
            None => added,
        };
        url.set_query(Some(&query));
        url
    }

    /// Returns the address without its query, for messages.
    pub fn without_query(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.into()
    }
}

/// Encodes parameters as `name=value&…`, with each value percent-encoded as `encodeURIComponent` does.
pub(super) fn form_urlencode(parameters: &[(&str, &str)]) -> String {
    let mut form = String::new();
    for (name, value) in parameters {
        if !form.is_empty() {
            form.push('&');
        }
        form.push_str(name);
        form.push('=');
        form.extend(utf8_percent_encode(value, URI_COMPONENT));
    }
    form
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Endpoint, Error> {
        Endpoint::parse("MSI_ENDPOINT", &Code::MsiEndpointMalformed, text)
    }

    #[test]
    fn endpoint_path_and_query_precede_request_parameters() {
        let ours = [("api-version", "1"), ("resource", "https://a/b c'(ä)&=")];
        let encoded = "api-version=1&resource=https%3A%2F%2Fa%2Fb%20c%27(%C3%A4)%26%3D";
        for (own, expected) in [
            (
                "http://127.0.0.1:8081/msi/token",
                "http://127.0.0.1:8081/msi/token?",
            ),
            (
                "http://127.0.0.1/token/?a=b%20c",
                "http://127.0.0.1/token/?a=b%20c&",
            ),
            ("https://[::1]:8/t?", "https://[::1]:8/t?"),
            ("HTTP://LocalHost/Msi/Token", "http://localhost/Msi/Token?"),
        ] {
            let url = parsed(own).expect("valid").with_query(&ours);
            assert_eq!(url.as_str(), format!("{expected}{encoded}"));
        }
        assert_eq!(
            parsed("http://h/p?secret=1").expect("valid").without_query(),
            "http://h/p"
        );
    }

    #[test]
    fn invalid_endpoint_names_its_variable_and_is_not_repeated() {
        for text in [
            "token",
            "/msi/token",
            "127.0.0.1:8081",
            "ftp://host/",
            "data:text/plain,x",
            "file:///etc/passwd",
            "http:",
            "http://",
            "http:host",
            "http:/host",
            "https://:443",
            "http://host:99999",
            "http://a b",
            "http://user@host/",
            "http://user:hush@host/",
            "http://:hush@host/",
            "http://host/#hush",
            "http://[::1",
        ] {
            let error = parsed(text).expect_err(text);
            assert_eq!(error.code().as_str(), "msi_endpoint_url_malformed");
            let message = error.to_string();
            assert!(
                message.contains("MSI_ENDPOINT") && !message.contains("hush"),
                "{message}"
            );
        }
    }
}
