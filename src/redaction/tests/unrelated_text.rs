//! Text without a secret is not changed.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use proptest::prelude::*;

use super::*;
use crate::test_support::proptest::config;

/// Messages of Azure's services and of libraries, and sentences that resemble tokens.
const SENTENCES: [&str; 12] = [
    "Identity not found",
    "No User Assigned or Delegated Managed Identity found for specified ClientId/ResourceId/PrincipalId.",
    "AADSTS500011: The resource principal named https://x.example/a%20b was not found in the tenant named \
     'Contoso'. Trace ID: 7c2b8c5a-2f0e-4b1c-9a53-d1a5b3f20b00 Correlation ID: 0d1cb7c4-4d9e-4c4b-8b5a-7ad1f6d5c3a1 \
     Timestamp: 2024-05-06 07:08:09Z",
    "AADSTS700024: Client assertion is not within its valid time range.",
    "A socket operation was attempted to an unreachable network. [::1]:80 (169.254.169.254:80)",
    "They JWT key JSON \"value\" was invalid; the key Jones sent is not eyes only.",
    "/subscriptions/0b1f6471-1bf0-4dda-aec3-111122223333/resourcegroups/my-rg/providers/Microsoft.ManagedIdentity",
    r"The file C:\ProgramData\AzureConnectedMachineAgent\Tokens\new\test.key cannot be read.",
    "<html><head><title>502 Bad Gateway</title></head><body>nginx/1.18.0 (Ubuntu) &amp; more</body></html>",
    "tcp connect error: Connection refused (os error 111): http://127.0.0.1:40342/metadata/identity?api-version=1&x=%2F",
    "error decoding response body: invalid HTTP header parsed (50% of it), see https://aka.ms/azsdk?a=b+c",
    "Newest keys are in Tokyo; hey, Joe! Ewok ewes: ewGF, eyA, eyB.",
];

#[test]
fn service_messages_are_unchanged() {
    for sentence in SENTENCES {
        assert_eq!(redact(sentence, &[KEY, TOKEN, OPAQUE]), sentence);
    }
}

#[test]
fn unrelated_base64_is_unchanged() {
    for sentence in SENTENCES {
        for encoded in [STANDARD.encode(sentence), URL_SAFE.encode(format!("x{sentence}"))] {
            assert_eq!(redact(&encoded, &[KEY, OPAQUE]), encoded);
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn identifiers_and_addresses_are_unchanged(
        guid in "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        url in "https://[a-z]{3,12}\\.[a-z]{3,12}\\.net/[a-z]{0,9}(%20|%2F|/)[A-Za-z0-9]{0,12}\\?[a-z]{1,5}=[a-z0-9+]{0,9}",
        words in "[A-Z][a-z]{2,9}( [a-z]{2,9}){1,12}\\.",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        // Random bytes can look like the start of a token in base64.
        prop_assume!(!bytes.starts_with(b"{\""));
        let text = format!("{words} ({guid}) at {url}");
        prop_assert_eq!(redact(&text, &[KEY, TOKEN, OPAQUE]), text);
        let encoded = STANDARD.encode(&bytes);
        prop_assume!(!encoded.contains("eyJ"));
        let text = format!("{words} {encoded}");
        prop_assert_eq!(redact(&text, &[KEY, OPAQUE]), text);
    }

    #[test]
    fn text_around_a_secret_is_unchanged(before in "[A-Za-z0-9 ,;:]{0,40}", after in "[A-Za-z0-9 ,;:]{0,40}") {
        let text = format!("{before}<{KEY}>{after}");
        let expected = redact(&format!("{before}<>{after}"), &[]).replace("<>", "<<redacted>>");
        prop_assert_eq!(redact(&text, &[KEY]), expected);
    }

    #[test]
    fn any_text_is_redacted_without_a_panic(text in ".{0,200}", secret in ".{0,40}", most in 0_usize..300) {
        let line = Redactor::new(&[Secret::new(secret)]).redact(&text, most);
        prop_assert!(line.chars().count() <= most + 1);
        prop_assert!(!line.chars().any(char::is_control));
    }
}
