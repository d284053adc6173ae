//! Errors for responses without a token.

use super::*;

#[test]
fn message_contains_endpoint_response_and_ids() {
    let body = r#"{"error":"invalid_request","error_description":"Not today.","error_codes":[70021,700211],
        "timestamp":"2027-01-15 08:00:00Z","correlation_id":"c-1","trace_id":"t-1"}"#;
    let error = response_error(400, body);
    let details = error.details();
    assert_eq!(
        details.message,
        "App Service's token endpoint at http://127.0.0.1:8081/msi/token answered 400: Not today. (error \
         invalid_request, error codes 70021 700211, correlation id c-1, trace id t-1, timestamp 2027-01-15 08:00:00Z)."
    );
    assert_eq!(error.to_string(), format!("invalid_request: {}", details.message));
    assert_eq!((details.status, details.attempts), (Some(400), Some(2)));
    assert_eq!(details.correlation_id.as_deref(), Some("c-1"));
    assert_eq!(details.number, Some(ErrorNumber::Number(70_021.0)));
    assert_eq!(details.source, Some(SourceName::AppService));
    assert_eq!(
        details.endpoint.as_deref(),
        Some("http://127.0.0.1:8081/msi/token")
    );
}

#[test]
fn each_error_format_gives_code_and_message() {
    for (body, code, expected) in [
        (
            r#"{"error":"invalid_resource","error_description":"Words"}"#,
            "invalid_resource",
            "Words",
        ),
        (
            r#"{"statusCode":400,"message":"Words","correlationId":"d"}"#,
            "managed_identity_failed_response",
            "Words",
        ),
        (
            r#"{"error":{"code":"SecretHeaderNotFound","message":"Words","correlationId":"e"}}"#,
            "SecretHeaderNotFound",
            "Words",
        ),
        (
            r#"{"ExceptionMessage":"AADSTS500011: Words.","ErrorCode":"invalid_resource","StatusCode":400,
                "Message":null,"CorrelationId":"8b0b"}"#,
            "invalid_resource",
            "answered 502: AADSTS500011: Words. (error invalid_resource, correlation id 8b0b). The resource",
        ),
        (
            r#"{"Message":"Words of Automation."}"#,
            "managed_identity_failed_response",
            "answered 502: Words of Automation.",
        ),
        (
            r#"{"ERROR":{"Code":"X","Message":"Words?"}}"#,
            "X",
            "answered 502: Words? (error X).",
        ),
        (
            r#"{"errors":[{"code":"X","message":"Words."}]}"#,
            "X",
            "answered 502: Words. (error X).",
        ),
        (
            r#"{"type":"about:blank","title":"Forbidden","status":403,"detail":"Words.","traceId":"t-2"}"#,
            "managed_identity_failed_response",
            "answered 502: Forbidden: Words. (trace id t-2).",
        ),
        (
            r#"{"raw":"Words."}"#,
            "managed_identity_failed_response",
            r#"answered 502: {"raw":"Words."}."#,
        ),
        (
            r#"{"error":{"innererror":{"reason":"Words"}}}"#,
            "managed_identity_failed_response",
            r#"answered 502: {"error":{"innererror":{"reason":"Words"}}}."#,
        ),
        (
            r#"{"error":{"code":"X","y":NaN,"message":"Half a pair \ud83d"}}"#,
            "X",
            "answered 502: Half a pair \u{fffd} (error X).",
        ),
        (
            "Words of a proxy",
            "managed_identity_failed_response",
            "Words of a proxy",
        ),
        (
            "<html>\r\n<h1>Words</h1>\n</html>",
            "managed_identity_failed_response",
            "<html> <h1>Words</h1> </html>",
        ),
        ("", "managed_identity_failed_response", "answered 502."),
        ("null", "managed_identity_failed_response", "null"),
        ("{}", "managed_identity_failed_response", "answered 502."),
        ("[1]", "managed_identity_failed_response", "[1]"),
    ] {
        let error = response_error(502, body);
        assert_eq!(error.code().as_str(), code, "{body}");
        let details = error.details();
        assert_eq!(details.status, Some(502), "{body}");
        assert!(
            details.message.contains("answered 502") && details.message.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn service_correlation_id_is_read_from_every_format() {
    for body in [
        r#"{"correlation_id":"the-id"}"#,
        r#"{"message":"x","correlationId":"the-id"}"#,
        r#"{"error":{"code":"X","correlationId":"the-id"}}"#,
    ] {
        assert_eq!(
            response_error(400, body).details().correlation_id.as_deref(),
            Some("the-id"),
            "{body}"
        );
    }
    assert_eq!(
        response_error(400, r#"{"correlation_id":""}"#)
            .details()
            .correlation_id,
        None
    );
}

#[test]
fn implausible_error_code_is_ignored() {
    for code in [
        "two words",
        "a\\nb",
        "<b>",
        "ü",
        "",
        "a/b",
        &"x".repeat(101),
        JWT,
        SECRET,
    ] {
        let body = format!(r#"{{"error":"{code}","error_description":"Words"}}"#);
        let error = response_error(400, &body);
        assert_eq!(*error.code(), Code::FailedResponse, "{code}");
    }
    for code in ["AADSTS70021", "invalid_request", "Some.Code-1", &"x".repeat(100)] {
        let error = response_error(400, &format!(r#"{{"error":"{code}"}}"#));
        assert_eq!(error.code().as_str(), code);
    }
}

#[test]
fn quoted_message_is_limited_to_500_characters() {
    let message_with = |count| message(400, &format!(r#"{{"message":"{}"}}"#, "ä".repeat(count)));
    let quoted = |message: &str| message.chars().filter(|c| *c == 'ä').count();
    assert_eq!(
        (quoted(&message_with(500)), message_with(500).contains('…')),
        (500, false)
    );
    assert_eq!(
        (quoted(&message_with(501)), message_with(501).contains('…')),
        (500, true)
    );
    assert_eq!(quoted(&message(503, &"ä".repeat(100_000))), 500);
}

#[test]
fn control_characters_are_removed() {
    let message = message(400, r#"{"message":"a\r\nInjected: line\u0000\u001b[31m\u0085b"}"#);
    assert!(
        !message.chars().any(char::is_control) && message.contains("Injected"),
        "{message:?}"
    );
}

#[test]
fn redirect_is_reported_as_redirect() {
    for status in [301, 302, 307, 308] {
        let error = response_error(status, "");
        assert_eq!(
            (error.code(), error.details().status),
            (&Code::FailedResponse, Some(status))
        );
        assert!(
            error
                .details()
                .message
                .contains("a redirect, which is never followed"),
            "{error}"
        );
    }
}

#[test]
fn retryable_flag_is_preserved() {
    let (error_context, request) = context_and_request(APP_SERVICE);
    for retryable in [false, true] {
        let response_error =
            error_context.response_error(&FakeResponse::new(503, "").to(&request), None, 1, retryable);
        let transport_error = error_context.transport_error(
            &TransportError::new(TransportErrorKind::ConnectionReset),
            1,
            retryable,
        );
        assert_eq!(
            (
                response_error.details().retryable,
                transport_error.details().retryable
            ),
            (retryable, retryable)
        );
    }
    assert!(
        error_context
            .retry_after_too_long(Duration::from_secs(5), 0)
            .details()
            .retryable
    );
    assert!(
        error_context
            .timed_out(Duration::from_secs(5), &AttemptStats::default())
            .details()
            .retryable
    );
    assert!(
        !error_context
            .unusable_response("reason", &FakeResponse::new(200, "").to(&request), 1)
            .details()
            .retryable
    );
}

#[test]
fn empty_field_does_not_hide_others_and_invalid_code_is_quoted() {
    let error = response_error(
        400,
        r#"{"error":"x","error_description":"","message":"real message","correlation_id":"","correlationId":"cc"}"#,
    );
    assert!(error.to_string().contains("real message"), "{error}");
    assert_eq!(error.details().correlation_id.as_deref(), Some("cc"));
    let error = response_error(400, r#"{"error":"Something bad happened"}"#);
    assert_eq!(error.code().as_str(), "managed_identity_failed_response");
    assert!(error.to_string().contains("Something bad happened"), "{error}");
}

#[test]
fn service_message_is_quoted_whole() {
    for sentence in [
        "There was an error.",
        "Was there an error?",
        "There was none!",
        "There was …",
        "Words",
        "v1.0...",
    ] {
        for body in [
            format!(r#"{{"error":"e","error_description":"{sentence}"}}"#),
            format!(r#"{{"message":"{sentence}"}}"#),
            format!(r#"{{"title":"{sentence}","detail":"{sentence}"}}"#),
            sentence.to_owned(),
        ] {
            let message = message(400, &body);
            assert!(message.contains(sentence), "{message}");
            assert!(!message.contains("...."), "{message}");
        }
    }
}

#[test]
fn first_error_number_is_preserved() {
    let number = |body: &str| response_error(400, body).details().number.clone();
    let text = |text: &str| Some(ErrorNumber::Text(text.to_owned()));
    assert_eq!(number(r#"{"error":"e","error_codes":["70021"]}"#), text("70021"));
    assert_eq!(
        number(r#"{"Error_Codes":[7.5,1]}"#),
        Some(ErrorNumber::Number(7.5))
    );
    assert_eq!(
        number(&format!(r#"{{"error_codes":["{SECRET}"]}}"#)),
        text("<redacted>")
    );
    assert_eq!(number(r#"{"error":"e","error_codes":[]}"#), None);
    assert_eq!(number("70021"), None);
    let many = format!(r#"{{"error":"e","error_codes":[{}1]}}"#, "70021,".repeat(1_000));
    assert!(message(400, &many).len() < 300);
}

#[test]
fn unknown_object_is_quoted_unless_it_may_contain_a_token() {
    let long = format!(r#"{{"raw":"{}"}}"#, "ä".repeat(600));
    let quoted = message(400, &long);
    assert_eq!(quoted.chars().filter(|c| *c == 'ä').count(), 492, "{quoted}");
    for body in [
        r#"{"Access_Token":"opaque"}"#,
        r#"{"accessToken":"opaque"}"#,
        r#"{"\u0061ccess_token":"opaque"}"#,
        r#"{"data":[{"\u0054oken":"opaque"}]}"#,
        r#"{"x":NaN,"id_token":"opaque"}"#,
        "Access_Token=opaque",
    ] {
        assert!(!message(400, body).contains("opaque"), "{body}");
    }
    // The body of a success is never quoted.
    assert!(!message(202, r#"{"raw":"opaque"}"#).contains("opaque"));
    // The words "access token" in plain text are not the name of a field.
    assert!(message(502, "No access token for you").contains("No access token for you"));
}
