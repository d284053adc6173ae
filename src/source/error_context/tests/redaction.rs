//! Redaction of secrets and tokens that an endpoint echoes.

use super::*;

/// Returns texts in which an endpoint may echo a secret.
fn echoes(secret: &str) -> Vec<String> {
    vec![
        format!("You sent {secret}!"),
        format!("{secret}{secret}"),
        secret.to_uppercase(),
        secret.to_lowercase(),
        format!("{}{secret}", "x".repeat(490)),
    ]
}

/// Returns bodies that contain a text in every possible field.
fn bodies(plain: &str) -> Vec<String> {
    let text = serde_json::Value::from(plain).to_string();
    vec![
        format!(r#"{{"error":"e","error_description":{text}}}"#),
        format!(r#"{{"error":{text}}}"#),
        format!(r#"{{"error":{{"code":{text},"message":{text},"correlationId":{text}}}}}"#),
        format!(r#"{{"message":{text},"correlationId":{text}}}"#),
        format!(r#"{{"error":"e","correlation_id":{text},"trace_id":{text}}}"#),
        plain.to_owned(),
        format!("<html>{plain}</html>"),
    ]
}

fn output(error: &Error) -> String {
    format!("{error} {error:?}").to_lowercase()
}

#[test]
fn echoed_secret_is_removed() {
    for echo in echoes(SECRET) {
        for body in bodies(&echo) {
            for status in [200, 400, 500] {
                let output = output(&response_error(status, &body));
                assert!(!output.contains("hush-header"), "{output}");
            }
        }
    }
}

#[test]
fn echoed_token_is_removed() {
    for echo in [JWT.to_owned(), format!("Bearer {JWT}, {JWT}"), format!("x{JWT}")] {
        for body in bodies(&echo) {
            for status in [200, 400, 500] {
                let output = output(&response_error(status, &body));
                assert!(!output.contains("eyj") && !output.contains("c2ln"), "{output}");
            }
        }
    }
}

#[test]
fn secret_split_by_control_characters_is_removed() {
    for separator in ["\0", "\n", "\r\n", "\t", "\u{1b}", "\u{85}", " \n "] {
        for body in bodies(&format!("Hush-He{separator}ader-5")) {
            let output = output(&response_error(400, &body));
            assert!(!output.contains("hush-he"), "{separator:?}: {output}");
        }
    }
}

#[test]
fn token_split_by_control_characters_is_removed() {
    let (head, tail) = JWT.split_at(30);
    for separator in ["\0", "\n", "\r\n"] {
        for body in bodies(&format!("{head}{separator}{tail}")) {
            let output = output(&response_error(400, &body));
            assert!(!output.contains("c2lnlw5hdhvyzq"), "{separator:?}: {output}");
        }
    }
}

#[test]
fn secret_containing_blanks_is_removed() {
    for secret in ["hush  header", "hush\theader", " hush header "] {
        let variables = [APP_SERVICE[0], (v::IDENTITY_HEADER, secret)];
        for body in bodies(secret) {
            let output = output(&response_error_of(&variables, 400, &body));
            assert!(!output.contains("hush"), "{secret:?}: {output}");
        }
    }
}

#[test]
fn non_json_success_body_is_not_quoted() {
    for body in [
        "an-opaque-token",
        "<html>an-opaque-token</html>",
        "[\"an-opaque-token\"]",
        "\"an-opaque-token\"",
    ] {
        for status in [200, 201, 204, 299] {
            let message = message(status, body);
            assert!(!message.contains("opaque"), "{message}");
        }
    }
    assert!(message(200, "an-opaque-token").contains("not a JSON object"));
    assert!(message(200, r#"{"expires_in":5}"#).contains("without a token"));
    let both = message(
        200,
        r#"{"access_token":"an-opaque-token","error":"denied","error_description":"Words"}"#,
    );
    assert!(!both.contains("opaque") && both.contains("Words"), "{both}");
}

#[test]
fn secret_of_any_characters_is_removed() {
    // The first secret is empty after trimming and must not match endlessly.
    let (error_context, mut request) = context_and_request(APP_SERVICE);
    request.secrets = ["  ", ".*(", ".*([a-z]"]
        .map(|secret| Secret::new(secret.into()))
        .to_vec();
    let error = error_context.response_error(
        &FakeResponse::new(400, "a .*( b .*([A-Z] c").to(&request),
        None,
        1,
        false,
    );
    assert!(
        error.details().message.ends_with("a .*( b <redacted> c."),
        "{error}"
    );
}

#[test]
fn short_secret_leaves_the_service_message_intact() {
    for (secret, code) in [
        ("secret", "SecretHeaderNotFound"),
        ("token", "InvalidTokenRequest"),
        ("not-7", "Not-7"),
    ] {
        let variables = [APP_SERVICE[0], (v::IDENTITY_HEADER, secret)];
        let body = format!(r#"{{"error":"{code}","error_description":"the {secret} is wrong: {code}"}}"#);
        let error = response_error_of(&variables, 400, &body);
        assert_eq!(error.code().as_str(), code);
        let echo = format!("the {secret} is wrong: {code}");
        assert!(error.details().message.contains(&echo), "{error}");
    }
}

#[test]
fn secrets_of_earlier_attempts_are_removed() {
    let (error_context, request) = context_and_request(APP_SERVICE);
    error_context.add_secrets([Secret::new("an-earlier-key".into())]);
    let echo = "an%2Dearlier%2Dkey and &#72;ush-Header-5";
    let cause = Cause {
        code: None,
        message: format!("certificate not valid for name {echo}\nand more"),
    };
    error_context.response_error(&FakeResponse::new(400, "").to(&request), None, 1, false);
    for kind in [
        TransportErrorKind::Tls,
        TransportErrorKind::NameResolution,
        TransportErrorKind::CustomClient,
        TransportErrorKind::InvalidRequest,
    ] {
        let transport_error = TransportError {
            kind,
            cause: Some(cause.clone()),
        };
        let output = output(&error_context.transport_error(&transport_error, 1, false));
        assert_eq!(
            output.matches("name <redacted> and <redacted> and more").count(),
            3,
            "{output}"
        );
    }
    let error = Error::new(Code::InvalidFilePath, format!("a challenge names {echo}"))
        .map_details(|details| details.cause = Some(cause.clone()));
    let output = output(&error_context.with_source(error, 1));
    assert!(
        output.contains("names <redacted> and <redacted>") && !output.contains("earlier"),
        "{output}"
    );
    let message = error_context
        .tenant_mismatch("t", &format!("x{echo}"))
        .details()
        .message
        .clone();
    assert!(
        message.contains("<redacted>") && !message.contains("earlier"),
        "{message}"
    );
    assert_eq!(error_context.redact(echo), "<redacted> and <redacted>");
}

#[test]
fn malformed_body_that_may_contain_a_token_is_not_quoted() {
    for body in [
        r#"{"access_token":"opaque-token","x":1} junk"#,
        r#"{"access_token":"opaque-token""#,
        "access_token=opaque-token",
    ] {
        assert!(!output(&response_error(400, body)).contains("opaque"), "{body}");
    }
}
