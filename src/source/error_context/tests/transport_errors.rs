//! Errors for missing and unusable responses.

use super::*;

#[test]
fn each_transport_error_has_its_code_and_message() {
    use TransportErrorKind as F;
    const UNREACHABLE: Code = Code::UnreachableNetwork;
    let (error_context, _) = context_and_request(&[]);
    for (kind, code, expected, has_remedy) in [
        (F::ConnectionRefused, UNREACHABLE, "refused", true),
        (F::ConnectionReset, UNREACHABLE, "reset the connection", false),
        (F::ConnectionClosed, UNREACHABLE, "closed the connection", false),
        (F::Unreachable, UNREACHABLE, "cannot be reached", true),
        (F::Local, UNREACHABLE, "this process could not", false),
        (F::NameResolution, UNREACHABLE, "cannot be resolved", true),
        (F::Tls, UNREACHABLE, "TLS", false),
        (F::CustomClient, UNREACHABLE, "system.networkClient", false),
        (
            F::ThumbprintMismatch,
            Code::InvalidServerThumbprint,
            "thumbprint",
            false,
        ),
        (
            F::ConnectTimeout,
            Code::NetworkUnavailable,
            "system.connectTimeout",
            true,
        ),
        (
            F::RequestTimeout,
            Code::NetworkUnavailable,
            "system.requestTimeout",
            false,
        ),
        (F::NotHttp, Code::FailedResponse, "not HTTP", false),
        (
            F::BodyTooLarge,
            Code::FailedResponse,
            "answered 200 with a body over 1 MiB",
            false,
        ),
        (
            F::InvalidRequest,
            Code::InvalidConfiguration,
            "could not be sent",
            false,
        ),
    ] {
        let cause = Cause {
            code: Some("ECODE"),
            message: "the socket's message".into(),
        };
        let transport_error = TransportError {
            kind,
            cause: Some(cause.clone()),
        };
        let error = error_context.transport_error(&transport_error, 3, true);
        assert_eq!(*error.code(), code, "{kind:?}");
        let details = error.details();
        assert!(
            details.message.contains(expected) && details.message.contains("after 3 requests"),
            "{error}"
        );
        assert_eq!(
            details
                .message
                .contains("npx --no managed-identity-native emulator -- "),
            has_remedy,
            "{error}"
        );
        let status = (kind == F::BodyTooLarge).then_some(200);
        assert_eq!((details.cause.as_ref(), details.status), (Some(&cause), status));
        let quoted = details.message.contains("the socket's message");
        let unquoted = [F::BodyTooLarge, F::ConnectTimeout, F::ThumbprintMismatch].contains(&kind);
        assert_eq!(quoted, !unquoted, "{error}");
    }
}

#[test]
fn unreachable_configured_imds_names_its_variable() {
    let variables = [(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, "http://127.0.0.1:9")];
    let error = context_and_request(&variables).0.transport_error(
        &TransportError::new(TransportErrorKind::ConnectionRefused),
        1,
        true,
    );
    let message = &error.details().message;
    assert!(message.contains(v::AZURE_POD_IDENTITY_AUTHORITY_HOST), "{error}");
    assert!(!message.contains("firewall"), "{error}");
}

#[test]
fn tls_error_has_the_remedy_of_its_source() {
    let fabric = [
        (v::IDENTITY_ENDPOINT, "https://h/t"),
        (v::IDENTITY_HEADER, SECRET),
        (
            v::IDENTITY_SERVER_THUMBPRINT,
            "a9993e364706816aba3e25717850c26c9cd0d89d",
        ),
    ];
    for (variables, remedy) in [(&fabric[..], "X.509 version 3"), (APP_SERVICE, "trust roots")] {
        let error = context_and_request(variables).0.transport_error(
            &TransportError::new(TransportErrorKind::Tls),
            1,
            false,
        );
        assert!(error.details().message.contains(remedy), "{error}");
    }
}

#[test]
fn unusable_token_is_a_failed_response() {
    let (error_context, request) = context_and_request(APP_SERVICE);
    let error = error_context.unusable_response("it is stale", &FakeResponse::new(200, "").to(&request), 4);
    assert_eq!(*error.code(), Code::FailedResponse);
    assert!(
        error
            .details()
            .message
            .ends_with("answered 200, but it is stale."),
        "{error}"
    );
    assert_eq!(
        (error.details().status, error.details().attempts),
        (Some(200), Some(4))
    );
}
