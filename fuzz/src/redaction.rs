//! Redaction: whatever an endpoint says, no secret and no token is in what a reader is shown.
//!
//! The input is two lines, a secret each, and a text. The text is moreover a body, in which [`ECHOES`] stand for
//! what an endpoint could echo: the header that it was sent, as it is or encoded, and tokens.

use std::fmt::Write as _;

use managed_identity_native::redaction::clean;
use managed_identity_native::source::Report;
use managed_identity_native::token::Secret;
use serde_json::Value;

use crate::host;

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

/// Checks what is shown of a text.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.splitn(3, '\n');
    let secrets = [(); 2].map(|()| Secret::new(lines.next().unwrap_or_default().to_owned()));
    let text = lines.next().unwrap_or_default();
    for most in [0, 40, usize::MAX] {
        check_words(text, &secrets, most);
    }
    check_ordinary_words(text);
    for secret in &secrets {
        check_encoded(text, secret);
    }
    check_body(text);
}

fn check_words(text: &str, secrets: &[Secret], most: usize) {
    let line = clean(text, secrets, most);
    assert!(!line.chars().any(char::is_control), "{line:?}");
    assert_eq!(line, line.trim(), "a line without blanks around it");
    let length = line.chars().count();
    assert!(
        length <= most.saturating_add(1),
        "{length} characters instead of {most}"
    );
    let cut = length > most;
    let line = if cut { before_cut(&line) } else { &line };
    for piece in line.split(MARK) {
        assert!(!piece.contains(JWT_START), "{piece:?}");
        for secret in secrets.iter().map(|secret| packed(secret.expose())) {
            assert!(
                secret.is_empty() || !packed(piece).contains(&secret),
                "{piece:?} shows {secret:?}"
            );
        }
    }
    if !cut && !line.contains(MARK) {
        assert_eq!(packed(line), packed(text), "nothing is lost that is not secret");
    }
}

/// Without secrets and tokens, a text is the same but for its blanks.
fn check_ordinary_words(text: &str) {
    let visible: String = text
        .chars()
        .filter(|c| c.is_whitespace() || !c.is_control())
        .collect();
    if !packed(text).contains(&JWT_START.to_ascii_lowercase()) {
        let words: Vec<&str> = visible.split_whitespace().collect();
        assert_eq!(
            clean(text, &[Secret::new(String::new())], usize::MAX),
            words.join(" ")
        );
    }
}

/// A secret is found in the encodings of a query and of JSON too, whatever surrounds it.
fn check_encoded(text: &str, secret: &Secret) {
    let plain = secret.expose();
    if packed(plain).is_empty() || plain.chars().any(char::is_control) {
        return;
    }
    let json = Value::from(plain).to_string();
    for form in [percent_encoded(plain), json[1..json.len() - 1].to_owned()] {
        let line = clean(
            &format!("{text}{form}{text}"),
            std::slice::from_ref(secret),
            usize::MAX,
        );
        let shown = line
            .split(MARK)
            .any(|piece| packed(piece).contains(&packed(&form)));
        assert!(!shown, "{line:?} shows {form:?}");
    }
}

/// As in a query, where everything but letters, digits and four marks is encoded.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
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
    let source = host::open(app_service).expect("App Service");
    let machine = host::machine(&<_>::default());
    let request = source
        .request(&host::ask("https://vault.azure.net"), &machine)
        .expect("a request");
    let report = Report::about(&*source);
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
        let error = report.refusal(&host::response(&request, status, body.as_bytes()), None, 2, true);
        let shown = packed(&format!("{error} {error:?}"));
        assert!(!hidden.iter().any(|telling| shown.contains(telling)), "{error}");
        let message = &error.facts().message;
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
