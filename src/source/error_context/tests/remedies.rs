//! The remedies of known errors, and the texts that identify these errors.

use super::*;

#[test]
fn new_federated_credential_is_recognized_by_its_error_codes() {
    let (_, request) = context_and_request(APP_SERVICE);
    for (description, is_missing) in [
        (
            "AADSTS70021: No matching federated identity record found for presented assertion.",
            true,
        ),
        (
            "AADSTS700213: No matching federated identity record found for presented assertion subject 'a'.",
            true,
        ),
        ("AADSTS501661: Resource not found.", true),
        ("[AADSTS70021]", true),
        (
            "AADSTS700211: No matching federated identity record found for presented assertion issuer 'a'.",
            false,
        ),
        (
            "AADSTS700212: No matching federated identity record found for presented assertion audience 'a'.",
            false,
        ),
        ("AADSTS5016610: Other.", false),
        (
            "AADSTS700016: Application with identifier 'a' was not found in the directory.",
            false,
        ),
    ] {
        let body = format!(r#"{{"error":"invalid_request","error_description":"{description}"}}"#);
        let response = |status| FakeResponse::new(status, body.as_str()).to(&request);
        assert_eq!(is_identity_missing(&response(400)), is_missing, "{description}");
        assert_eq!(is_identity_missing(&response(401)), is_missing, "{description}");
        assert!(!is_identity_missing(&response(200)), "{description}");
    }
}

#[test]
fn unknown_identity_is_shown_if_well_formed() {
    let guid = "1f2e3d4c-0000-4aaa-8bbb-123456789abc";
    let path =
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/i";
    let message_for = |id: Option<&str>, description: &str| {
        let (error_context, request) = context_and_request(APP_SERVICE);
        let body = format!(r#"{{"error":"e","error_description":"{description}"}}"#);
        let response = FakeResponse::new(400, &body).to(&request);
        let error = error_context
            .with_identity(id)
            .response_error(&response, None, 1, false);
        error.details().message.clone()
    };
    let unknown = [
        "Identity not found",
        "No MSI found for specified ClientId",
        "AADSTS700016: x",
    ];
    for description in unknown {
        for id in [guid, path] {
            let message = message_for(Some(id), description);
            assert!(
                message.ends_with(&format!("The request named {id}.")),
                "{message}"
            );
        }
        for id in [None, Some("my-hush-secret"), Some("/subscriptions/hush secret")] {
            let message = message_for(id, description);
            assert!(
                !message.contains("The request named") && !message.contains("hush"),
                "{message}"
            );
        }
    }
    assert!(!message_for(Some(guid), "AADSTS500011: x").contains(guid));
}

#[test]
fn known_errors_have_a_remedy() {
    for (text, remedy) in [
        ("Identity not found", "Assign a managed identity"),
        (
            "No User Assigned or Delegated Managed Identity found for specified ClientId",
            "Assign a managed identity",
        ),
        (
            "No MSI found for specified ClientId/ResourceId.",
            "Assign a managed identity",
        ),
        (
            "Multiple user assigned identities exist, please specify the clientId / resourceId",
            "managedIdentityIdParams",
        ),
        (
            "AADSTS500011: The resource principal named x was not found",
            "check the resource",
        ),
        (
            "AADSTS700211: No matching federated identity record",
            "OIDC issuer",
        ),
        (
            "AADSTS700212: No matching federated identity record",
            "api://AzureADTokenExchange",
        ),
        (
            "AADSTS700024: Client assertion is not within its valid time range",
            "not a copy of it",
        ),
        (
            "Unable to load the proper Managed Identity.",
            "no system-assigned identity",
        ),
        (
            "AADSTS70021: No matching federated identity record",
            "subject and the issuer",
        ),
        (
            "AADSTS700213: No matching federated identity record",
            "subject and the issuer",
        ),
        ("AADSTS700016: Application was not found", "AZURE_CLIENT_ID"),
    ] {
        for body in [
            format!(r#"{{"error":"e","error_description":"{text}"}}"#),
            text.to_owned(),
        ] {
            let message = message(400, &body);
            assert!(message.contains(remedy) && message.ends_with('.'), "{message}");
        }
    }
    assert!(message(400, r#"{"message":"Something else"}"#).ends_with("Something else."));
}

#[test]
fn container_host_403_reports_missing_imds() {
    for body in [
        "dial tcp 169.254.169.254:80: connectex: Ein Socketvorgang war nicht ausführbar",
        "cannot reach 169.254.169.254:80",
        "connectex: x",
    ] {
        let error = response_error_of(&[], 403, body);
        assert_eq!(*error.code(), Code::UnreachableNetwork);
        let details = error.details();
        assert_eq!((details.status, details.retryable), (Some(403), false));
        assert!(details.message.contains("There is no IMDS here"), "{error}");
    }
    for (status, body) in [
        (403, "A socket operation was attempted to an unreachable network"),
        (400, "connectex"),
    ] {
        assert_eq!(*response_error_of(&[], status, body).code(), Code::FailedResponse);
    }
}

#[test]
fn unknown_identity_names_the_option_and_the_variables_of_its_id() {
    let message = message(400, r#"{"message":"Identity not found"}"#);
    for name in ["managedIdentityIdParams", "AZURE_CLIENT_ID", "MANAGED_IDENTITY"] {
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn not_found_without_message_names_the_variable_with_the_path() {
    let shell = [(v::MSI_ENDPOINT, "http://127.0.0.1:1/x")];
    for (variables, variable) in [(APP_SERVICE, "IDENTITY_ENDPOINT"), (&shell, "MSI_ENDPOINT")] {
        for body in ["", "{}", "<html>Not Found</html>"] {
            let error = response_error_of(variables, 404, body);
            let remedy = format!("The path in {variable} is probably wrong");
            assert!(error.details().message.contains(&remedy), "{error}");
        }
        for (status, body) in [
            (404, r#"{"message":"Identity not found"}"#),
            (404, r#"{"message":"Not you."}"#),
            (410, ""),
        ] {
            let error = response_error_of(variables, status, body);
            assert!(!error.details().message.contains("The path in"), "{error}");
        }
    }
    assert!(
        response_error_of(&[], 404, "")
            .details()
            .message
            .ends_with("answered 404.")
    );
}

#[test]
fn error_without_message_has_the_remedy_of_its_source() {
    let learning = [
        (v::MSI_ENDPOINT, "http://127.0.0.1:1/x"),
        (v::MSI_SECRET, "hush-secret"),
    ];
    for (variables, variable) in [(APP_SERVICE, "IDENTITY_HEADER"), (&learning, "MSI_SECRET")] {
        for (status, body) in [(403, ""), (401, ""), (403, "{}"), (403, "<html>Forbidden</html>")] {
            let message = response_error_of(variables, status, body)
                .details()
                .message
                .clone();
            assert!(
                message.contains(&format!("The secret in {variable}")),
                "{message}"
            );
        }
        for (status, body) in [
            (400, ""),
            (500, ""),
            (403, r#"{"message":"Not you."}"#),
            (401, r#"{"error":"unauthorized_client"}"#),
            (403, r#"{"message":"Identity not found"}"#),
        ] {
            let message = response_error_of(variables, status, body)
                .details()
                .message
                .clone();
            assert!(!message.contains("The secret in"), "{message}");
        }
    }
    assert!(
        response_error_of(&[], 403, "")
            .details()
            .message
            .ends_with("answered 403.")
    );
}
