//! Redaction: whatever an endpoint says, no secret and no token is in what a reader is shown.
//!
//! The input is two lines, a secret each, and a text. The second secret is moreover the recipe by which the first is
//! encoded, and the text a body, in which [`ECHOES`] stand for what an endpoint could echo: the header that it was sent,
//! as it is or encoded, and tokens.

use managed_identity_native::redaction::Redactor;
use managed_identity_native::source::ErrorContext;
use managed_identity_native::token::Secret;
use serde_json::Value;

use crate::decoding::everything;
use crate::encoding::encode;
use crate::fake_platform;

const MARK: &str = "<redacted>";
const CUT: char = '…';
/// How every JWT begins.
const JWT_START: &str = "eyJ";

const HEADER: &str = "Hush/Header+5=";
const JWT: &str = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJodXNoIn0.aGVyZS1vbmx5_-";
const OPAQUE: &str = "Opaque.Token/Without=Shape";

/// What stands for an echo in a text, the echo, and a part of it that tells it from anything else.
const ECHOES: [(&str, &str, &str); 6] = [
    ("%HEADER%", HEADER, HEADER),
    ("%PERCENT%", "Hush%2FHeader%2B5%3D", "Hush%2FHeader%2B5%3D"),
    ("%SLASHED%", r"Hush\/Header+5=", r"Hush\/Header+5="),
    // The header between "user:" and " end": what surrounds it has a say in the first and the last characters.
    ("%BASE64%", "dXNlcjpIdXNoL0hlYWRlcis1PSBlbmQ=", "dXNoL0hlYWRlcis1"),
    ("%JWT%", JWT, "aGVyZS1vbmx5"),
    ("%OPAQUE%", OPAQUE, OPAQUE),
];
/// More than the longest message has: 500 characters of words, 300 of ids, and our own.
const LONGEST_MESSAGE: usize = 1_600;

/// So many characters of a secret in a row are not shown.
const RECOGNISED: usize = 8;

/// Checks what is shown of a text.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let secrets = [(); 2].map(|()| lines.next().unwrap_or_default());
    let text = lines.next().unwrap_or_default();
    for max_chars in [0, 40, usize::MAX] {
        check_words(text, &secrets, max_chars);
    }
    check_ordinary_words(text);
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

fn check_words(text: &str, secrets: &[&str], max_chars: usize) {
    let line = redact(text, secrets, max_chars);
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert_eq!(line, line.trim(), "a line without blanks around it");
    let length = line.chars().count();
    assert!(
        length <= max_chars.saturating_add(1),
        "{length} characters instead of {max_chars}"
    );
    let cut = length > max_chars;
    let line = if cut { before_cut(&line) } else { &line };
    for piece in line.split(MARK) {
        assert!(!piece.contains(JWT_START), "{piece:?}");
        for secret in secrets {
            assert!(!shows(piece, secret), "{piece:?} shows {secret:?}");
        }
    }
    if !cut && !line.contains(MARK) {
        assert_eq!(packed(line), packed(text), "nothing is lost that is not secret");
    }
}

/// Without secrets, and without anything that could be encoded, a text is the same except for its blanks.
fn check_ordinary_words(text: &str) {
    let is_base64 = |c: char| c.is_ascii_alphanumeric() || "+/-_".contains(c);
    let may_be_encoded = text.contains(['%', '&', '\\'])
        || packed(text)
            .split(|c| !is_base64(c))
            .any(|run| run.len() >= RECOGNISED);
    let visible: String = text
        .chars()
        .filter(|c| c.is_whitespace() || !c.is_control())
        .collect();
    if !may_be_encoded && !packed(text).contains(&JWT_START.to_ascii_lowercase()) {
        let words: Vec<&str> = visible.split_whitespace().collect();
        assert_eq!(redact(text, &[], usize::MAX), words.join(" "));
    }
}

/// However a secret is encoded, and whatever surrounds it: decode everything that is shown, and it is not there.
fn check_encoded(text: &str, secret: &str, recipe: &str) {
    // Of what keys and tokens are made of; anything else can look encoded itself.
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
            for decoded in everything(piece) {
                assert!(
                    !shows(&decoded, secret),
                    "{line:?} shows {secret:?} in {decoded:?}"
                );
            }
        }
    }
    let alone = redact(&format!("<{encoded}>"), &[secret], usize::MAX);
    let is_long = packed(secret).chars().count() >= RECOGNISED;
    assert!(
        !is_long || alone.contains(MARK),
        "{encoded:?} of {secret:?} stays"
    );
}

/// Whether a text holds a part of a secret that is long enough to be recognised.
fn shows(text: &str, secret: &str) -> bool {
    let (text, secret) = (packed(text), packed(secret));
    let starts: Vec<usize> = secret
        .char_indices()
        .map(|(start, _)| start)
        .chain([secret.len()])
        .collect();
    let mut parts = starts
        .windows(RECOGNISED + 1)
        .map(|part| &secret[part[0]..part[RECOGNISED]]);
    parts.any(|part| text.contains(part))
}

/// A line that was cut, without the sign of it and without a mark of which only the beginning is left.
fn before_cut(line: &str) -> &str {
    let line = line.strip_suffix(CUT).expect("a cut is shown");
    let begun = (1..MARK.len())
        .rev()
        .find_map(|length| line.strip_suffix(&MARK[..length]));
    begun.unwrap_or(line)
}

/// What somebody reads who looks over blanks, line feeds and case.
fn packed(text: &str) -> String {
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
    let source = fake_platform::open(app_service).expect("App Service");
    let platform = fake_platform::platform(&<_>::default());
    let request = source
        .request(&fake_platform::query("https://vault.azure.net"), &platform)
        .expect("a request");
    let error_context = ErrorContext::new(&*source);
    let echoed = |text: String, (name, echo, _): &(&str, &str, &str)| text.replace(name, echo);
    let body = ECHOES.iter().fold(text.to_owned(), echoed);
    let granted = serde_json::from_str::<Value>(&body).is_ok_and(|body| body["access_token"] == OPAQUE);
    // A part of an echo on its own is a word like any other, and so is a token that nobody granted.
    let hidden = ECHOES.iter().filter(|(_, echo, telling)| {
        let whole = echo == telling || !packed(text).contains(&packed(telling));
        whole && (granted || *echo != OPAQUE)
    });
    let hidden: Vec<String> = hidden.map(|(_, _, telling)| packed(telling)).collect();
    for status in [200, 400, 403] {
        let error = error_context.response_error(
            &fake_platform::response(&request, status, body.as_bytes()),
            None,
            2,
            true,
        );
        let shown = packed(&format!("{error} {error:?}"));
        assert!(!hidden.iter().any(|telling| shown.contains(telling)), "{error}");
        let message = &error.details().message;
        assert!(message.chars().count() < LONGEST_MESSAGE, "{message}");
        assert!(!message.chars().any(char::is_control), "{message:?}");
        let code = error.code().as_str();
        assert!(
            code.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)),
            "{code}"
        );
    }
}
