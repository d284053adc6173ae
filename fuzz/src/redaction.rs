//! Redaction: no message contains a secret or a token, whatever the response is.
//!
//! The input is two lines with one secret each, and a text. The second secret is also the recipe by which the first one is
//! encoded. The text is also a body in which the placeholders of [`ECHOES`] are replaced by texts that an endpoint could
//! echo: the secret header, plain or encoded, and tokens.

use managed_identity_native::redaction::Redactor;
use managed_identity_native::source::ErrorContext;
use managed_identity_native::token::Secret;
use serde_json::Value;

use crate::decoding::decoded_forms;
use crate::encoding::encode;
use crate::fake_platform;

const MARK: &str = "<redacted>";
const ELLIPSIS: char = '…';
/// The start of every JWT.
const JWT_START: &str = "eyJ";

const HEADER: &str = "Hush/Header+5=";
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJodXNoIn0.aGVyZS1vbmx5_-";
const OPAQUE: &str = "Opaque.Token/Without=Shape";

/// The placeholder of an echo, the echo, and a part of it that occurs in no other text.
const ECHOES: [(&str, &str, &str); 6] = [
    ("%HEADER%", HEADER, HEADER),
    ("%PERCENT%", "Hush%2FHeader%2B5%3D", "Hush%2FHeader%2B5%3D"),
    ("%SLASHED%", r"Hush\/Header+5=", r"Hush\/Header+5="),
    // The header between "user:" and " end", which affect the first and the last characters of its base64.
    ("%BASE64%", "dXNlcjpIdXNoL0hlYWRlcis1PSBlbmQ=", "dXNoL0hlYWRlcis1"),
    ("%JWT%", JWT, "aGVyZS1vbmx5"),
    ("%OPAQUE%", OPAQUE, OPAQUE),
];
/// A limit for messages: a 500-character quotation, 300 characters of ids, and the text of this package.
const MAX_MESSAGE_CHARS: usize = 1_600;

/// The number of consecutive characters of a secret that must not be output.
const MIN_SECRET_PART: usize = 8;

/// Checks the redacted forms of a text.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let secrets = [(); 2].map(|()| lines.next().unwrap_or_default());
    let text = lines.next().unwrap_or_default();
    for max_chars in [0, 40, usize::MAX] {
        check_text(text, &secrets, max_chars);
    }
    check_plain_text(text);
    check_encoded(text, secrets[0], secrets[1]);
    check_body(text);
}

fn redact(text: &str, secrets: &[&str], max_chars: usize) -> String {
    let secrets: Vec<_> = secrets
        .iter()
        .map(|secret| Secret::new((*secret).to_owned()))
        .collect();
    Redactor::new(&secrets).redact(text, max_chars)
}

fn check_text(text: &str, secrets: &[&str], max_chars: usize) {
    let line = redact(text, secrets, max_chars);
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert_eq!(line, line.trim(), "the line has no surrounding blanks");
    let length = line.chars().count();
    assert!(
        length <= max_chars.saturating_add(1),
        "{length} characters instead of {max_chars}"
    );
    let is_cut = length > max_chars;
    let line = if is_cut { before_cut(&line) } else { &line };
    for piece in line.split(MARK) {
        assert!(!piece.contains(JWT_START), "{piece:?}");
        for secret in secrets {
            assert!(!shows(piece, secret), "{piece:?} shows {secret:?}");
        }
    }
    if !is_cut && !line.contains(MARK) {
        assert_eq!(compact(line), compact(text), "only secrets are removed");
    }
}

/// A text without secrets and without possible encodings changes only in its blanks.
fn check_plain_text(text: &str) {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    let may_be_encoded = text.contains(['%', '&', '\\'])
        || compact(text)
            .split(|c| !is_base64(c))
            .any(|run| run.len() >= MIN_SECRET_PART);
    let visible: String = text
        .chars()
        .filter(|c| c.is_whitespace() || !c.is_control())
        .collect();
    if !may_be_encoded && !compact(text).contains(&JWT_START.to_ascii_lowercase()) {
        let words: Vec<&str> = visible.split_whitespace().collect();
        assert_eq!(redact(text, &[], usize::MAX), words.join(" "));
    }
}

/// No decoded form of the redacted text contains the secret, however it is encoded and whatever surrounds it.
fn check_encoded(text: &str, secret: &str, recipe: &str) {
    // Only characters of keys and tokens: a secret with other characters may look encoded itself.
    if !secret
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"+/=._~-".contains(&byte))
    {
        return;
    }
    let encoded = encode(secret, recipe.as_bytes());
    let (before, after) = text.split_once("%SECRET%").unwrap_or((text, ""));
    for text in [
        format!("{before}{encoded}{after}"),
        format!("<{before}>{encoded}<{after}>"),
    ] {
        let line = redact(&text, &[secret], usize::MAX);
        for piece in line.split(MARK) {
            for decoded in decoded_forms(piece) {
                assert!(
                    !shows(&decoded, secret),
                    "{line:?} shows {secret:?} in {decoded:?}"
                );
            }
        }
    }
    let alone = redact(&format!("<{encoded}>"), &[secret], usize::MAX);
    let is_long = compact(secret).chars().count() >= MIN_SECRET_PART;
    assert!(
        !is_long || alone.contains(MARK),
        "{encoded:?} of {secret:?} is not redacted"
    );
}

/// Returns whether a text contains a part of a secret that must not be output.
fn shows(text: &str, secret: &str) -> bool {
    let (text, secret) = (compact(text), compact(secret));
    let starts: Vec<usize> = secret
        .char_indices()
        .map(|(start, _)| start)
        .chain([secret.len()])
        .collect();
    let mut parts = starts
        .windows(MIN_SECRET_PART + 1)
        .map(|part| &secret[part[0]..part[MIN_SECRET_PART]]);
    parts.any(|part| text.contains(part))
}

/// Returns a truncated line without its ellipsis and without a truncated redaction mark.
fn before_cut(line: &str) -> &str {
    let line = line
        .strip_suffix(ELLIPSIS)
        .expect("a truncated line ends with an ellipsis");
    let without_mark = (1..MARK.len())
        .rev()
        .find_map(|length| line.strip_suffix(&MARK[..length]));
    without_mark.unwrap_or(line)
}

/// Returns a text in lower case, without white space and control characters.
fn compact(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

fn check_body(text: &str) {
    let app_service = [
        ("IDENTITY_ENDPOINT", "http://127.0.0.1:8081/msi/token"),
        ("IDENTITY_HEADER", HEADER),
    ];
    let source = fake_platform::create_source(app_service).expect("App Service");
    let platform = fake_platform::platform(&<_>::default());
    let request = source
        .request(&fake_platform::query("https://vault.azure.net"), &platform)
        .expect("a request");
    let error_context = ErrorContext::new(&*source);
    let insert_echo = |text: String, (name, echo, _): &(&str, &str, &str)| text.replace(name, echo);
    let body = ECHOES.iter().fold(text.to_owned(), insert_echo);
    let granted = serde_json::from_str::<Value>(&body).is_ok_and(|body| body["access_token"] == OPAQUE);
    // The unique part alone is not a secret. Neither is an opaque token outside the token field.
    let must_be_redacted = ECHOES.iter().filter(|(_, echo, unique)| {
        let whole = echo == unique || !compact(text).contains(&compact(unique));
        whole && (granted || *echo != OPAQUE)
    });
    let must_be_redacted: Vec<String> = must_be_redacted.map(|(_, _, unique)| compact(unique)).collect();
    for status in [200, 400, 403] {
        let error = error_context.response_error(
            &fake_platform::response(&request, status, body.as_bytes()),
            None,
            2,
            true,
        );
        let output = compact(&format!("{error} {error:?}"));
        assert!(
            !must_be_redacted.iter().any(|unique| output.contains(unique)),
            "{error}"
        );
        let message = &error.details().message;
        assert!(message.chars().count() < MAX_MESSAGE_CHARS, "{message}");
        assert!(!message.chars().any(char::is_control), "{message:?}");
        let code = error.code().as_str();
        assert!(
            code.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)),
            "{code}"
        );
    }
}
