//! Whether the `resource` that a response names is the one that was asked for.

use crate::http::Url;

const SCOPE_SUFFIX: &str = "/.default";

/// Returns whether two resources are certainly different: both are URIs with a host, and they differ in more than
/// trailing slashes, `/.default`, or the case of scheme and host. Endpoints spell resources in ways of their own.
pub fn is_other_resource(asked: &str, named: &str) -> bool {
    // Nearly all responses repeat the resource as it was asked for.
    if asked == named {
        return false;
    }
    match (comparable(asked), comparable(named)) {
        (Some(asked), Some(named)) => asked != named,
        _ => false,
    }
}

/// Scheme, host, port, path and query of a URI with a host.
type Comparable = (String, String, Option<u16>, String, Option<String>);

fn comparable(resource: &str) -> Option<Comparable> {
    let url = Url::parse(resource).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let path = url.path();
    let path = path.strip_suffix(SCOPE_SUFFIX).unwrap_or(path);
    let path = path.trim_end_matches('/');
    Some((
        url.scheme().to_owned(),
        host.to_ascii_lowercase(),
        url.port(),
        path.to_owned(),
        url.query().map(str::to_owned),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equivalent_resource_spellings_match() {
        let same = [
            ("https://vault.azure.net", "https://vault.azure.net/"),
            ("https://vault.azure.net/", "https://vault.azure.net"),
            ("https://vault.azure.net", "HTTPS://Vault.Azure.NET/.default"),
            ("https://vault.azure.net//", "https://vault.azure.net//.default"),
            ("api://ABC/x", "api://abc/x/"),
            ("https://vault.azure.net:443", "https://vault.azure.net"),
            // What is not a URI with a host cannot be compared.
            ("https://vault.azure.net", "00000002-0000-0000-c000-000000000000"),
            (
                "00000002-0000-0000-c000-000000000000",
                "https://graph.windows.net",
            ),
            ("urn:a", "urn:b"),
            ("https://vault.azure.net", ""),
        ];
        for (asked, named) in same {
            assert!(!is_other_resource(asked, named), "{asked} {named}");
        }
    }

    #[test]
    fn different_hosts_schemes_ports_paths_and_queries_do_not_match() {
        let other = [
            ("https://vault.azure.net", "https://storage.azure.com"),
            ("https://vault.azure.net", "api://vault.azure.net"),
            ("https://vault.azure.net", "https://vault.azure.net:8443"),
            ("https://vault.azure.net", "https://vault.azure.net/a"),
            ("https://vault.azure.net/a", "https://vault.azure.net/A"),
            ("https://vault.azure.net", "https://vault.azure.net?a=b"),
        ];
        for (asked, named) in other {
            assert!(is_other_resource(asked, named), "{asked} {named}");
        }
    }
}
