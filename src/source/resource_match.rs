//! Comparison of the requested resource with the `resource` field of the response.

use crate::http::Url;

const SCOPE_SUFFIX: &str = "/.default";

/// Returns whether two resources are certainly different: both are URIs with a host, and they differ in more than
/// trailing slashes, `/.default`, or the case of scheme and host. Endpoints may return another spelling of the resource.
pub fn is_other_resource(requested: &str, returned: &str) -> bool {
    // Nearly all responses repeat the resource unchanged.
    if requested == returned {
        return false;
    }
    match (comparable(requested), comparable(returned)) {
        (Some(requested), Some(returned)) => requested != returned,
        _ => false,
    }
}

/// Normalized scheme, host, port, path and query of a URI with a host.
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
            // Only URIs with a host can be compared.
            ("https://vault.azure.net", "00000002-0000-0000-c000-000000000000"),
            (
                "00000002-0000-0000-c000-000000000000",
                "https://graph.windows.net",
            ),
            ("urn:a", "urn:b"),
            ("https://vault.azure.net", ""),
        ];
        for (requested, returned) in same {
            assert!(!is_other_resource(requested, returned), "{requested} {returned}");
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
        for (requested, returned) in other {
            assert!(is_other_resource(requested, returned), "{requested} {returned}");
        }
    }
}
