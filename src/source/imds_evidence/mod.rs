//! Whether a response at IMDS's default address comes from IMDS, or from one that answers there on purpose.
//!
//! Other clouds, portals and gateways answer at 169.254.169.254 too. So do stand-ins for IMDS (AAD Pod Identity's NMI,
//! the workload identity proxy, Container Instances), without the headers of IMDS and partly in plain text. So only
//! positive evidence counts, in both directions.

use super::token_response::TokenResponse;
use crate::http::Response;
use crate::http::retry_policy::IMDS_DEFAULT;

/// What IMDS calls itself in `Server`, in lower case; a version follows.
const IMDS_SERVER: &str = "imds";
/// Longer responses are not parsed: IMDS and its stand-ins send some kilobytes.
const MAX_EVIDENCE_BYTES: usize = 65_536;
const BAD_REQUEST: u16 = 400;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
/// How HTML begins, in lower case.
const HTML_STARTS: [&str; 4] = ["<!doctype html", "<html", "<head", "<body"];
const HTML_TYPES: [&str; 2] = ["text/html", "application/xhtml+xml"];

/// Which request a response answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// The probe: without the `Metadata` header, so that IMDS refuses it with 400 and JSON.
    Probe,
    /// A request for a token.
    Token,
}

/// What a response says about its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// IMDS or a stand-in for it has sent the response.
    Imds,
    /// Something else has.
    Foreign,
    /// Either may have.
    Inconclusive,
}

/// Judges a response to a request that went to IMDS's default address.
pub fn imds_evidence(response: &Response, asked: RequestKind) -> Evidence {
    let server = response.headers.server.as_deref().unwrap_or_default();
    let body = body(response);
    // Judged on the network thread, and more often than once.
    let is_long = body.len() > MAX_EVIDENCE_BYTES;
    let token_response = if is_long { None } else { TokenResponse::parse(body) };
    if server.to_ascii_lowercase().contains(IMDS_SERVER)
        || token_response
            .as_ref()
            .is_some_and(TokenResponse::has_token_or_error)
    {
        return Evidence::Imds;
    }
    let status = response.status;
    let is_retried = IMDS_DEFAULT.status_limit(status).is_some();
    let is_foreign = is_long
        || matches!(status, 200..=399)
        || is_html(response)
        || !body.is_empty() && token_response.is_some()
        || match asked {
            RequestKind::Probe => !(matches!(status, BAD_REQUEST | FORBIDDEN | NOT_FOUND) || is_retried),
            RequestKind::Token => {
                !(body.is_empty() || matches!(status, BAD_REQUEST | NOT_FOUND) || is_retried)
            }
        };
    if is_foreign {
        Evidence::Foreign
    } else {
        Evidence::Inconclusive
    }
}

/// Whether the body is a page for people. An empty one is not, whatever its type.
pub(super) fn is_html(response: &Response) -> bool {
    let body = skip_xml_declaration(body(response));
    if body.is_empty() {
        return false;
    }
    let content_type = response.headers.content_type.as_deref().unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    HTML_TYPES
        .iter()
        .any(|html| media_type.eq_ignore_ascii_case(html))
        || HTML_STARTS.iter().any(|start| {
            body.get(..start.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(start.as_bytes()))
        })
}

/// The body without a byte order mark and white space around it. A caller's client may read an empty body as an empty
/// object, so that such an object is as good as none.
fn body(response: &Response) -> &[u8] {
    let body = response.body.strip_prefix(b"\xef\xbb\xbf");
    let body = body.unwrap_or(&response.body).trim_ascii();
    if body == b"{}" { b"" } else { body }
}

/// EC2's error pages are XHTML, which may begin with an XML declaration.
fn skip_xml_declaration(body: &[u8]) -> &[u8] {
    const END: &[u8] = b"?>";
    if !body.starts_with(b"<?xml") {
        return body;
    }
    match body.windows(END.len()).position(|window| window == END) {
        Some(end) => body[end + END.len()..].trim_ascii_start(),
        None => body,
    }
}

#[cfg(test)]
mod tests;
