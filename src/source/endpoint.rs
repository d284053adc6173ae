//! The address of a token endpoint: from a variable of the environment, kept as it was given.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Code, Error};
use crate::http::Url;

/// What `encodeURIComponent` leaves alone.
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
    /// Takes what a variable holds. The value is not repeated in the error: it may hold a password.
    pub fn parse(variable: &str, malformed: &Code, text: &str) -> Result<Self, Error> {
        let refused = |reason: &str| {
            Error::new(
                malformed.clone(),
                format!("The environment variable {variable} {reason}."),
            )
        };
        let lower = text.trim().to_ascii_lowercase();
        if !lower.starts_with("http://") && !lower.starts_with("https://") {
            return Err(refused("is no absolute http or https URL"));
        }
        let url = Url::parse(text).map_err(|error| {
            let reason = error.to_string();
            let remedy = if reason.contains("international") && !text.is_ascii() {
                "; write a host name outside of ASCII as Punycode, xn--…"
            } else {
                ""
            };
            refused(&format!("is no URL ({reason}{remedy})"))
        })?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(refused("is a URL without a host"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refused(
                "is a URL with a user name or password, which an endpoint cannot have",
            ));
        }
        if url.fragment().is_some() {
            return Err(refused(
                "is a URL with a fragment (#), which an endpoint cannot have",
            ));
        }
        Ok(Self(url))
    }

    /// Whether it is reached by TLS.
    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The host, as a URL has it.
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The path, as a URL has it.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The same with another host.
    #[must_use]
    pub fn with_host(mut self, host: &str) -> Self {
        // Both schemes allow any host, and the callers name valid ones.
        let _ = self.0.set_host(Some(host));
        self
    }

    /// The address with a path after its own; `None` if it has a query, which would stand in between.
    pub fn with_path(mut self, path: &str) -> Option<Self> {
        if self.0.query().is_some() {
            return None;
        }
        let whole = format!("{}{path}", self.0.path().trim_end_matches('/'));
        self.0.set_path(&whole);
        Some(self)
    }

    /// The address with these parameters after its own.
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

    /// The address without its query, for readers.
    pub fn without_query(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.into()
    }
}

/// `name=value&…`, percent-encoded as `encodeURIComponent` does.
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
            let said = error.to_string();
            assert!(said.contains("MSI_ENDPOINT") && !said.contains("hush"), "{said}");
        }
    }
}
