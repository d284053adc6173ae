//! Responses of IMDS, of its substitutes, and of other services at its address.

use super::*;
use crate::http::{Request, Url};
use crate::test_support::FakeResponse;

use Evidence::{Foreign, Imds, Inconclusive};

const HTML: &str = "<!DOCTYPE html><html><body>Sign in</body></html>";
const XHTML: &str =
    "<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<!DOCTYPE html PUBLIC \"-//W3C//DTD XHTML 1.0\">";
const NMI: &str = "no AzureAssignedIdentity found for pod:default/app in assigned state\n";
const ERROR_LESS: &str = r#"{"message":"not found"}"#;
const TOKEN: &str = r#"{"access_token":"t","expires_in":"60"}"#;
const ERROR: &str =
    r#"{"error":"invalid_request","error_description":"Required metadata header not specified"}"#;

/// Classifies a response as one to a probe and as one to a token request.
fn classify(response: FakeResponse) -> (Evidence, Evidence) {
    let request = Request::get(Url::parse("http://169.254.169.254/").expect("a URL"));
    let response = response.to(&request);
    (
        imds_evidence(&response, RequestKind::Probe),
        imds_evidence(&response, RequestKind::Token),
    )
}

fn with_content_type(mut response: FakeResponse, content_type: &str) -> FakeResponse {
    response.headers.content_type = Some(content_type.into());
    response
}

fn with_server(mut response: FakeResponse, server: &str) -> FakeResponse {
    response.headers.server = Some(server.into());
    response
}

#[test]
fn evidence_table_is_followed() {
    for (status, body, probe, token) in [
        // IMDS and its substitutes.
        (400, ERROR, Imds, Imds),
        (200, TOKEN, Imds, Imds),
        (500, r#"{"error":{"code":"x"}}"#, Imds, Imds),
        (401, r#"{"error":"denied"}"#, Imds, Imds),
        // Foreign for both kinds of request.
        (301, "", Foreign, Foreign),
        (302, HTML, Foreign, Foreign),
        (307, ERROR_LESS, Foreign, Foreign),
        (200, "", Foreign, Foreign),
        (204, "", Foreign, Foreign),
        (200, HTML, Foreign, Foreign),
        (200, "ok", Foreign, Foreign),
        (200, ERROR_LESS, Foreign, Foreign),
        (200, r#"{"access_token":"","error":null}"#, Foreign, Foreign),
        (401, XHTML, Foreign, Foreign),
        (400, HTML, Foreign, Foreign),
        (403, HTML, Foreign, Foreign),
        (404, HTML, Foreign, Foreign),
        (410, HTML, Foreign, Foreign),
        (502, HTML, Foreign, Foreign),
        (400, ERROR_LESS, Foreign, Foreign),
        (404, ERROR_LESS, Foreign, Foreign),
        (503, ERROR_LESS, Foreign, Foreign),
        (401, "Unauthorized", Foreign, Foreign),
        (405, "Method not allowed", Foreign, Foreign),
        (421, "Misdirected", Foreign, Foreign),
        // For a probe the status is enough; a token request needs a body as evidence.
        (401, "", Foreign, Inconclusive),
        (405, "", Foreign, Inconclusive),
        (418, "", Foreign, Inconclusive),
        // A 403 with text is weak evidence for a probe, which IMDS rejects anyway.
        (
            403,
            "Missing Metadata-Flavor:Google header.",
            Inconclusive,
            Foreign,
        ),
        (403, "", Inconclusive, Inconclusive),
        // Either is possible: IMDS during an update, NMI, or a gateway that sends plain text.
        (400, "", Inconclusive, Inconclusive),
        (400, "Bad request", Inconclusive, Inconclusive),
        (404, "", Inconclusive, Inconclusive),
        (404, NMI, Inconclusive, Inconclusive),
        (404, "[]", Inconclusive, Inconclusive),
        // A custom network client may return an empty object for an empty body.
        (400, "{}", Inconclusive, Inconclusive),
        (503, " {}\n", Inconclusive, Inconclusive),
        (401, "{}", Foreign, Inconclusive),
        (200, "{}", Foreign, Foreign),
        (408, "", Inconclusive, Inconclusive),
        (410, "", Inconclusive, Inconclusive),
        (429, "Too many requests", Inconclusive, Inconclusive),
        (500, "", Inconclusive, Inconclusive),
        (502, "Bad gateway", Inconclusive, Inconclusive),
        (503, "", Inconclusive, Inconclusive),
        (599, "", Inconclusive, Inconclusive),
    ] {
        let response = FakeResponse::new(status, body);
        assert_eq!(classify(response), (probe, token), "{status} {body}");
    }
}

#[test]
fn server_header_of_imds_takes_precedence() {
    for server in ["IMDS/150.870.65.1324", "imds", "Microsoft-IMDS/1"] {
        for (status, body) in [
            (200, ""),
            (302, HTML),
            (401, ""),
            (404, "{}"),
            (410, ""),
            (503, ""),
        ] {
            let response = with_server(FakeResponse::new(status, body), server);
            assert_eq!(classify(response), (Imds, Imds), "{server} {status} {body}");
        }
    }
    for server in ["EC2ws", "Metadata Server for VM", "nginx", ""] {
        let response = with_server(FakeResponse::new(200, "ok"), server);
        assert_eq!(classify(response), (Foreign, Foreign), "{server}");
    }
}

#[test]
fn html_is_recognized_by_content_type_or_start() {
    for content_type in ["text/html", "TEXT/HTML; charset=utf-8", "application/xhtml+xml"] {
        let page = with_content_type(FakeResponse::new(404, "Not here"), content_type);
        assert_eq!(classify(page), (Foreign, Foreign), "{content_type}");
        for empty in ["", " \r\n", "\u{feff}"] {
            let updated = with_content_type(FakeResponse::new(503, empty), content_type);
            assert_eq!(
                classify(updated),
                (Inconclusive, Inconclusive),
                "{content_type} {empty:?}"
            );
        }
    }
    for body in [
        "\u{feff}<HTML>",
        "\r\n  <!doctype HTML>",
        "<Head>",
        "<body>x",
        XHTML,
    ] {
        assert_eq!(
            classify(FakeResponse::new(503, body)),
            (Foreign, Foreign),
            "{body}"
        );
    }
    for body in [
        "a <html> later",
        "<",
        "<htm",
        "<?xml version=\"1.0\"?><Error/>",
        "<?xml",
    ] {
        let text = with_content_type(FakeResponse::new(503, body), "text/plain");
        assert_eq!(classify(text), (Inconclusive, Inconclusive), "{body}");
    }
}

#[test]
fn long_response_is_foreign_unless_its_header_names_imds() {
    let body = |length: usize| {
        let padding = "x".repeat(length - ERROR.len());
        ERROR.replace("Required", &format!("{padding}Required"))
    };
    for status in [200, 400, 404, 500] {
        let longest = FakeResponse::new(status, body(MAX_EVIDENCE_BYTES));
        assert_eq!(classify(longest), (Imds, Imds), "{status}");
        let longer = FakeResponse::new(status, body(MAX_EVIDENCE_BYTES + 1));
        assert_eq!(classify(longer.clone()), (Foreign, Foreign), "{status}");
        assert_eq!(classify(with_server(longer, "IMDS/1")), (Imds, Imds), "{status}");
    }
}
