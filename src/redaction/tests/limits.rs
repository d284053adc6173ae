//! Long texts are cut before they are searched, and the effort is limited.

use super::*;

#[test]
fn long_text_is_truncated() {
    let redactor = Redactor::new(&[Secret::new(KEY.into())]);
    for before in 0..CUT_OVERLAP + 100 {
        let text = format!(
            "{}{KEY}{}",
            "x".repeat(MIN_SEARCHED_BYTES - before),
            "y".repeat(BYTES_PER_CHARACTER * 500)
        );
        assert!(!shows(&redactor.redact(&text, 500), KEY));
        let all = redactor.redact(&text, 512);
        assert!(all.chars().count() == 513 && all.ends_with(ELLIPSIS), "{all}");
    }
}

#[test]
fn secret_anywhere_in_a_long_text_is_removed() {
    let redactor = Redactor::new(&[Secret::new(OPAQUE.into())]);
    for at in (0..2 * MIN_SEARCHED_BYTES).step_by(7) {
        let text = format!("{}{OPAQUE}{}", " .".repeat(at), " .".repeat(5_000));
        assert!(!shows(&redactor.redact(&text, 500), OPAQUE), "{at}");
    }
}

#[test]
fn text_at_the_limit_is_not_truncated() {
    let redactor = Redactor::new(&[]);
    let text = "äb".repeat(250);
    assert_eq!(redactor.redact(&text, 500), text);
    assert_eq!(
        redactor.redact(&text, 499),
        format!("{}…", &text[..text.len() - 1])
    );
    assert_eq!(redactor.redact("", 500), "");
    assert_eq!(redactor.redact("abc", 0), "…");
    assert_eq!(redactor.redact(" \n\0 ", 500), "");
}

#[test]
fn white_space_is_scanned_within_a_limit() {
    let redactor = Redactor::new(&[Secret::new(KEY.into())]);
    let redact_after = |blanks: usize| redactor.redact(&format!("a{}b {KEY}", "\n".repeat(blanks)), 500);
    assert_eq!(redact_after(1_000), "a b <redacted>");
    assert!(redact_after(MIN_SCANNED_BYTES).ends_with(ELLIPSIS));
    assert!(!redact_after(MIN_SCANNED_BYTES).contains('b'));
}

#[test]
fn text_beyond_the_decoding_budget_is_not_shown() {
    let redactor = Redactor::new(&[Secret::new(KEY.into())]);
    // Each level of nesting is another view.
    let nested = format!("x &{}#43; y", "#38;".repeat(1_000));
    assert_eq!(redactor.redact(&nested, 500), REDACTED);
    let nested = format!("x \\{}u002b y", "u005c".repeat(800));
    assert_eq!(redactor.redact(&nested, 500), REDACTED);
}

#[test]
fn oversized_secret_hides_the_whole_text() {
    let redactor = Redactor::new(&[Secret::new("a1B2c3".repeat(MAX_SECRET_BYTES / 6 + 1))]);
    assert_eq!(redactor.redact("any text", 500), REDACTED);
    assert_eq!(redactor.redact("", 500), "");
}

#[test]
fn added_secrets_are_removed_from_then_on() {
    let known = KnownSecrets::default();
    assert_eq!(known.redactor().redact(KEY, 100), KEY);
    known.add([Secret::new(KEY.into())]);
    known.add([Secret::new(OPAQUE.into()), Secret::new(KEY.into())]);
    let text = format!("{KEY} and {OPAQUE}");
    assert_eq!(known.redactor().redact(&text, 100), "<redacted> and <redacted>");
    // The oldest secret is dropped.
    known.add((0..31).map(|number| Secret::new(format!("{number}-another-key"))));
    assert_eq!(
        known.redactor().redact(&text, 100),
        format!("{KEY} and <redacted>")
    );
}
