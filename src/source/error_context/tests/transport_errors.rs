//! No answer at all, or one that is of no use.

use super::*;

#[test]
fn each_transport_error_has_its_code_and_message() {
    use TransportErrorKind as F;
    const UNREACHABLE: Code = Code::UnreachableNetwork;
    let (error_context, _) = asked(&[]);
    for (kind, code, words, remedy) in [
        (F::ConnectionRefused, UNREACHABLE, "refused", true),
        (F::ConnectionReset, UNREACHABLE, "broke the connection off", false),
        (F::ConnectionClosed, UNREACHABLE, "closed the connection", false),
        (F::Unreachable, UNREACHABLE, "cannot be reached", true),
        (F::Local, UNREACHABLE, "this process itself", false),
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
        (F::NotHttp, Code::FailedResponse, "no HTTP", false),
        (F::BodyTooLarge, Code::FailedResponse, "1048576 bytes", false),
        (
            F::InvalidRequest,
            Code::InvalidConfiguration,
            "cannot be sent",
            false,
        ),
    ] {
        let cause = Cause {
            code: Some("ECODE"),
            message: "the socket's words".into(),
        };
        let fault = TransportError {
            kind,
            cause: Some(cause.clone()),
        };
        let error = error_context.transport_error(&fault, 3, true);
        assert_eq!(*error.code(), code, "{kind:?}");
        let details = error.details();
        assert!(
            details.message.contains(words) && details.message.contains("after 3 requests"),
            "{error}"
        );
        assert_eq!(
            details
                .message
                .contains("npx managed-identity-native emulator -- "),
            remedy,
            "{error}"
        );
        let status = (kind == F::BodyTooLarge).then_some(200);
        assert_eq!((details.cause.as_ref(), details.status), (Some(&cause), status));
        let quoted = details.message.contains("the socket's words");
        let unquoted = [F::BodyTooLarge, F::ConnectTimeout, F::ThumbprintMismatch].contains(&kind);
        assert_eq!(quoted, !unquoted, "{error}");
    }
}

#[test]
fn unreachable_configured_imds_names_its_variable() {
    let replaced = [(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, "http://127.0.0.1:9")];
    let error = asked(&replaced).0.transport_error(
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
        let error =
            asked(variables)
                .0
                .transport_error(&TransportError::new(TransportErrorKind::Tls), 1, false);
        assert!(error.details().message.contains(remedy), "{error}");
    }
}

#[test]
fn unusable_token_is_a_failed_response() {
    let (error_context, request) = asked(APP_SERVICE);
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
