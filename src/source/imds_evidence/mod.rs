//! Classification of responses from IMDS's default address: from IMDS, or from something else.
//!
//! Other clouds, portals and gateways also respond at 169.254.169.254. So do substitutes for IMDS (AAD Pod Identity's NMI,
//! the workload identity proxy, Container Instances), which do not send the headers of IMDS and partly use plain text. A
//! response is therefore classified only by positive evidence, in both directions.

use super::token_response::TokenResponse;
use crate::http::Response;
use crate::http::retry_policy::IMDS_DEFAULT;

/// The name in the `Server` header of IMDS, in lower case; a version follows it.
const IMDS_SERVER: &str = "imds";
/// Longer responses are not parsed: IMDS and its substitutes send a few kilobytes.
const MAX_EVIDENCE_BYTES: usize = 65_536;
const BAD_REQUEST: u16 = 400;
const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
/// The start of HTML documents, in lower case.
const HTML_STARTS: [&str; 4] = ["<!doctype html", "<html", "<head", "<body"];
const HTML_TYPES: [&str; 2] = ["text/html", "application/xhtml+xml"];

/// The kind of request that a response belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// A probe. It lacks the `Metadata` header, so IMDS rejects it with 400 and a JSON body.
    Probe,
    /// A request for a token.
    Token,
}

/// The sender that a response indicates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// IMDS or a substitute for it.
    Imds,
    /// Anything else.
    Foreign,
    /// Either is possible.
    Inconclusive,
}

/// Classifies a response from IMDS's default address.
pub fn imds_evidence(response: &Response, kind: RequestKind) -> Evidence {
    let server = response.headers.server.as_deref().unwrap_or_default();
    let body = body(response);
    // This runs on the network thread, and repeatedly for one response.
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
        || match kind {
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

/// Returns whether the body is an HTML page. An empty body is not, whatever its content type.
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

/// Returns the body without byte order mark and surrounding white space. An empty object counts as an empty body, because
/// a caller's own HTTP client may return it for an empty body.
fn body(response: &Response) -> &[u8] {
    let body = response.body.strip_prefix(b"\xef\xbb\xbf");
    let body = body.unwrap_or(&response.body).trim_ascii();
    if body == b"{}" { b"" } else { body }
}

/// Skips an XML declaration, with which the XHTML error pages of EC2 start.
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
