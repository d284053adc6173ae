//! Validation of environment variables.

use super::*;

const MALFORMED: [&str; 16] = [
    "token",
    "/msi/token",
    "127.0.0.1:8081/token",
    "localhost",
    "ftp://hush.example/",
    "data:text/plain,hush",
    "file:///etc/hush",
    "http:",
    "http:hush",
    "http://host:99999/hush",
    "http://hu sh/",
    "http://user@host/hush",
    "http://user:hush@host/",
    "http://host/#hush",
    "http://[::1/hush",
    "http://münchen.example/hush",
];

#[test]
fn malformed_endpoint_names_its_variable_and_is_not_repeated() {
    let imds: Variables<'_> = &[(v::AZURE_POD_IDENTITY_AUTHORITY_HOST, "")];
    for (variables, variable, code) in [
        (
            APP_SERVICE,
            v::IDENTITY_ENDPOINT,
            "identity_endpoint_url_malformed",
        ),
        (
            SERVICE_FABRIC,
            v::IDENTITY_ENDPOINT,
            "identity_endpoint_url_malformed",
        ),
        (AZURE_ARC, v::IDENTITY_ENDPOINT, "identity_endpoint_url_malformed"),
        (AZURE_ARC, v::IMDS_ENDPOINT, "imds_endpoint_url_malformed"),
        (MACHINE_LEARNING, v::MSI_ENDPOINT, "msi_endpoint_url_malformed"),
        (CLOUD_SHELL, v::MSI_ENDPOINT, "msi_endpoint_url_malformed"),
        (
            imds,
            v::AZURE_POD_IDENTITY_AUTHORITY_HOST,
            "azure_pod_identity_authority_host_url_malformed",
        ),
        (
            WORKLOAD_IDENTITY,
            v::AZURE_AUTHORITY_HOST,
            "invalid_configuration",
        ),
    ] {
        for address in MALFORMED {
            let error = creation_error(open_source(
                &with(variables, &[(variable, address)]),
                &system_assigned(),
            ));
            assert_eq!(error.code().as_str(), code, "{address}");
            let message = &error.details().message;
            assert!(
                message.contains(variable) && !message.contains("hush"),
                "{message}"
            );
        }
    }
}

#[test]
fn non_ascii_host_must_be_punycode() {
    let open_at = |address| {
        let variables = with(APP_SERVICE, &[(v::IDENTITY_ENDPOINT, address)]);
        open_source(&variables, &system_assigned())
    };
    let error = creation_error(open_at("http://münchen.example/token"));
    assert!(error.details().message.contains("Punycode"), "{error}");
    assert!(open_at("http://xn--mnchen-3ya.example/token").is_ok());
    assert!(open_at("http://127.0.0.1/müsli").is_ok());
}

#[test]
fn http_endpoint_is_rejected_where_https_is_required() {
    for (variables, variable, code) in [
        (
            SERVICE_FABRIC,
            v::IDENTITY_ENDPOINT,
            "identity_endpoint_url_malformed",
        ),
        (
            WORKLOAD_IDENTITY,
            v::AZURE_AUTHORITY_HOST,
            "invalid_configuration",
        ),
    ] {
        let plain = with(variables, &[(variable, "http://10.0.0.4/token")]);
        let error = creation_error(open_source(&plain, &system_assigned()));
        assert_eq!(error.code().as_str(), code);
        assert!(error.details().message.contains(variable), "{error}");
    }
}

#[test]
fn invalid_thumbprint_is_rejected() {
    let open_with_thumbprint = |thumbprint: &str| {
        let variables = with(SERVICE_FABRIC, &[(v::IDENTITY_SERVER_THUMBPRINT, thumbprint)]);
        open_source(&variables, &system_assigned())
    };
    let colons = "A9:99:3E:36:47:06:81:6A:BA:3E:25:71:78:50:C2:6C:9C:D0:D8:9D";
    for valid in [THUMBPRINT, &THUMBPRINT.to_uppercase(), colons] {
        assert!(open_with_thumbprint(valid).is_ok(), "{valid}");
    }
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    for invalid in [&THUMBPRINT[1..], "z", sha256] {
        assert_eq!(
            *creation_error(open_with_thumbprint(invalid)).code(),
            Code::InvalidServerThumbprint,
            "{invalid}"
        );
    }
}

#[test]
fn secret_invalid_in_a_header_names_its_variable_and_is_not_repeated() {
    for (variables, variable) in [
        (APP_SERVICE, v::IDENTITY_HEADER),
        (SERVICE_FABRIC, v::IDENTITY_HEADER),
        (MACHINE_LEARNING, v::MSI_SECRET),
    ] {
        for secret in [
            "\nhush",
            "hush\r\nX: y",
            "hush\nhush\n",
            "\u{0}hush",
            "hüsh",
            "hush\u{7f}",
            "\r\n",
        ] {
            let error = creation_error(open_source(
                &with(variables, &[(variable, secret)]),
                &system_assigned(),
            ));
            assert_eq!(*error.code(), Code::InvalidConfiguration, "{secret:?}");
            let message = &error.details().message;
            assert!(
                message.contains(variable) && !message.contains("sh\n"),
                "{message}"
            );
            assert!(
                !message.contains("hush") && !message.contains("hüsh"),
                "{message}"
            );
        }
        let printable = with(variables, &[(variable, "!\"#$ %&'()*+,-./:;<=>?@[\\]^_`{|}~\tz")]);
        assert!(open_source(&printable, &system_assigned()).is_ok());
    }
}

#[test]
fn trailing_line_ends_of_a_secret_are_removed() {
    let platform = platform(&[]);
    for (variables, variable, name) in [
        (APP_SERVICE, v::IDENTITY_HEADER, "x-identity-header"),
        (SERVICE_FABRIC, v::IDENTITY_HEADER, "secret"),
        (MACHINE_LEARNING, v::MSI_SECRET, "secret"),
    ] {
        for (secret, sent) in [
            ("hush\n", "hush"),
            ("hush\r\n", "hush"),
            ("hush\n\n", "hush"),
            ("hush \n", "hush "),
        ] {
            let options = system_assigned();
            let source = open_source(&with(variables, &[(variable, secret)]), &options).expect("a source");
            let request = source.request(&query(&options), &platform).expect("a request");
            assert!(
                request
                    .headers
                    .iter()
                    .any(|(header, value)| header.eq_ignore_ascii_case(name) && value.expose_secret() == sent),
                "{variable}"
            );
            // The redacted secret is the one that was sent.
            assert_eq!(request.secrets.first().map(Secret::expose_secret), Some(sent));
        }
    }
}

#[test]
fn malformed_client_id_variable_is_named() {
    for (variables, variable) in [
        (WORKLOAD_IDENTITY, v::AZURE_CLIENT_ID),
        (MACHINE_LEARNING, v::DEFAULT_IDENTITY_CLIENT_ID),
    ] {
        for id in ["undefined", "null", "hush\n", "\"hush\"", " hush"] {
            let malformed = with(variables, &[(variable, id)]);
            let error = creation_error(open_source(&malformed, &system_assigned()));
            assert_eq!(*error.code(), Code::InvalidConfiguration);
            let message = &error.details().message;
            assert!(
                message.contains(variable) && !message.contains("hush"),
                "{message}"
            );
            // The variable is not read if the options name the identity.
            assert!(open_source(&malformed, &user_assigned(IdKind::ClientId, "an-id")).is_ok());
        }
    }
    // Nor is it read if another source is detected.
    let elsewhere = with(APP_SERVICE, &[(v::AZURE_CLIENT_ID, "undefined")]);
    assert!(open_source(&elsewhere, &system_assigned()).is_ok());
}

#[test]
fn base_url_is_trimmed_and_has_no_query() {
    let host = v::AZURE_POD_IDENTITY_AUTHORITY_HOST;
    for base in ["http://h", "http://h/", "http://h/ ", "http://h//\n"] {
        let source = open_source(&[(host, base)], &system_assigned()).expect("valid");
        assert_eq!(
            source.endpoint().without_query(),
            "http://h/metadata/identity/oauth2/token",
            "{base:?}"
        );
    }
    let error = creation_error(open_source(&[(host, "http://h?x=1")], &system_assigned()));
    assert_eq!(*error.code(), Code::PodIdentityHostMalformed);
}
