//! Requests of a workload identity, and the validation of its variables and its file.

use super::*;
use crate::http::Method;

const TENANT: &str = "8f7d9c1e-0000-4000-8000-00000000000a";
const CLIENT: &str = "8f7d9c1e-0000-4000-8000-00000000000b";

fn with_assertion(bytes: &[u8]) -> Platform {
    platform(&[(FILE, FakeEntry::File(bytes.to_vec()))])
}

fn request(
    variables: Variables<'_>,
    options: &ApplicationOptions,
    platform: &Platform,
) -> Result<Request, Error> {
    create(&environment(variables), options, platform)?.request(&query(options), platform)
}

/// Decodes a form into its pairs.
fn decode_form(form: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_encoding::percent_decode_str(text)
            .decode_utf8()
            .expect("text")
            .into_owned()
    };
    form.split('&')
        .map(|pair| pair.split_once('=').expect("a pair"))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

#[test]
fn token_request_form_has_the_federated_credential_fields() {
    let platform = with_assertion(b" header.pay+load.sign_ature=\n");
    let request = request(WORKLOAD_IDENTITY, &system_assigned(), &platform).expect("a request");
    assert_eq!(request.method, Method::Post);
    assert_eq!(
        request.url.as_str(),
        format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token")
    );
    let form = decode_form(request.body.as_ref().expect("a form").expose_secret());
    let expected = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT),
        ("scope", "https://vault.azure.net/.default"),
        (
            "client_assertion_type",
            "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        ),
        ("client_assertion", "header.pay+load.sign_ature="),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(form, expected);
    assert!(
        request
            .secrets
            .iter()
            .any(|secret| secret.expose_secret().starts_with("header."))
    );
}

#[test]
fn capabilities_are_sent_in_the_form_only() {
    let options = options(|raw| {
        raw.client_capabilities = crate::options::UntypedValue::Array(vec!["CP1".into(), "other".into()]);
    });
    let request = request(WORKLOAD_IDENTITY, &options, &with_assertion(b"assertion")).expect("a request");
    assert_eq!(request.url.query(), None);
    let form = decode_form(request.body.as_ref().expect("a form").expose_secret());
    let claims = r#"{"access_token":{"xms_cc":{"values":["CP1","other"]}}}"#;
    assert_eq!(form[5], ("claims".into(), claims.into()));
}

#[test]
fn byte_order_mark_before_the_assertion_is_removed() {
    for content in [
        "\u{feff}assertion",
        "\u{feff}assertion\r\n",
        " \u{feff} assertion\u{feff}\n",
    ] {
        let request = request(
            WORKLOAD_IDENTITY,
            &system_assigned(),
            &with_assertion(content.as_bytes()),
        );
        let form = decode_form(
            request
                .expect("a request")
                .body
                .as_ref()
                .expect("a form")
                .expose_secret(),
        );
        assert_eq!(
            form[4],
            ("client_assertion".into(), "assertion".into()),
            "{content:?}"
        );
    }
    let error = request(
        WORKLOAD_IDENTITY,
        &system_assigned(),
        &with_assertion("\u{feff}\n".as_bytes()),
    );
    assert!(error.expect_err("empty").to_string().contains("is empty"));
}

#[test]
fn invalid_proxy_url_names_its_variable_and_is_not_repeated() {
    for (variable, proxy) in [
        (v::HTTPS_PROXY, "\"http://hush:hush@127.0.0.1:9\""),
        (v::HTTPS_PROXY, "'http://hush:9'"),
        (v::HTTPS_PROXY, "htp://hush:9"),
        (v::HTTPS_PROXY, "ftp://hush:9"),
        (v::HTTPS_PROXY, "socks5://hush:9"),
        (v::HTTPS_PROXY, "hush.example:8080"),
        (v::HTTPS_PROXY, "http://"),
        (v::HTTPS_PROXY_LOWER, "https:"),
        (v::HTTPS_PROXY_LOWER, "hush"),
    ] {
        let error = creation_error(open_source(
            &with(WORKLOAD_IDENTITY, &[(variable, proxy)]),
            &system_assigned(),
        ));
        assert_eq!(*error.code(), Code::InvalidConfiguration, "{proxy}");
        let message = error.to_string();
        assert!(
            message.contains(&format!("{variable} ")) && !message.contains("hush"),
            "{message}"
        );
    }
}

#[test]
fn unused_proxy_variable_is_not_validated() {
    for others in [
        // The lower-case name takes precedence, and an asterisk in `NO_PROXY` disables the proxy.
        &[
            (v::HTTPS_PROXY_LOWER, "http://proxy:3128"),
            (v::HTTPS_PROXY, "\"x\""),
        ][..],
        &[(v::HTTPS_PROXY, "htp://x"), (v::NO_PROXY, "a, *")],
        &[(v::HTTPS_PROXY, ""), (v::HTTPS_PROXY_LOWER, "")],
        &[(v::HTTPS_PROXY, " HTTP://u:p@proxy:3128/ ")],
        &[(v::HTTPS_PROXY, "https://[::1]:3128")],
    ] {
        let result = open_source(&with(WORKLOAD_IDENTITY, others), &system_assigned());
        assert!(result.is_ok(), "{others:?}");
    }
    // No other source uses a proxy.
    for variables in [
        &[][..],
        APP_SERVICE,
        AZURE_ARC,
        CLOUD_SHELL,
        MACHINE_LEARNING,
        SERVICE_FABRIC,
    ] {
        let proxied = with(variables, &[(v::HTTPS_PROXY, "\"x\"")]);
        assert!(open_source(&proxied, &system_assigned()).is_ok());
    }
}

#[test]
fn client_id_option_overrides_the_environment() {
    let options = user_assigned(IdKind::ClientId, "own");
    let platform = with_assertion(b"assertion");
    for variables in [
        WORKLOAD_IDENTITY,
        &with(WORKLOAD_IDENTITY, &[(v::AZURE_CLIENT_ID, "")]),
    ] {
        let request = request(variables, &options, &platform).expect("a request");
        let form = decode_form(request.body.as_ref().expect("a form").expose_secret());
        assert_eq!(form[1], ("client_id".into(), "own".into()));
    }
}

#[test]
fn authority_host_is_used_with_or_without_trailing_slashes() {
    for authority in [
        "https://login.microsoftonline.us",
        "https://login.microsoftonline.us//",
    ] {
        let variables = with(WORKLOAD_IDENTITY, &[(v::AZURE_AUTHORITY_HOST, authority)]);
        let request = request(&variables, &system_assigned(), &with_assertion(b"a")).expect("a request");
        assert_eq!(
            request.url.as_str(),
            format!("https://login.microsoftonline.us/{TENANT}/oauth2/v2.0/token")
        );
    }
}

#[test]
fn tenant_must_be_a_guid_or_domain() {
    for (tenant, is_valid) in [
        (TENANT, true),
        ("contoso.onmicrosoft.com", true),
        ("a/b", false),
        ("a?b", false),
        ("a b", false),
        ("ä", false),
    ] {
        let variables = with(WORKLOAD_IDENTITY, &[(v::AZURE_TENANT_ID, tenant)]);
        let result = open_source(&variables, &system_assigned());
        assert_eq!(result.is_ok(), is_valid, "{tenant}");
        if let Err(error) = result {
            assert_eq!(*error.code(), Code::InvalidConfiguration);
            assert!(error.to_string().contains("AZURE_TENANT_ID"), "{error}");
        }
    }
}

#[test]
fn invalid_assertion_file_is_named_with_its_problem() {
    for (entry, expected) in [
        (None, "cannot be read"),
        (Some(FakeEntry::Locked), "cannot be read"),
        (Some(FakeEntry::Pipe), "is not a regular file"),
        (
            Some(FakeEntry::File(vec![b'a'; 65_537])),
            "is too large for a token",
        ),
        (Some(FakeEntry::File(vec![0xff])), "is not UTF-8 text"),
        (Some(FakeEntry::File(b" \n".to_vec())), "is empty"),
    ] {
        let files: Vec<_> = entry.map(|entry| (FILE, entry)).into_iter().collect();
        let error = request(WORKLOAD_IDENTITY, &system_assigned(), &platform(&files)).expect_err(expected);
        assert_eq!(*error.code(), Code::UnableToReadSecretFile);
        let message = &error.details().message;
        assert!(
            message.contains(expected)
                && message.contains(FILE)
                && message.contains("AZURE_FEDERATED_TOKEN_FILE"),
            "{message}"
        );
    }
}

#[test]
fn assertion_file_is_read_for_each_request_through_links() {
    let files = Arc::new(FakeFiles::default());
    let platform = test_support::platform(&FakeClock::new(), &files);
    let options = system_assigned();
    let source = create(&environment(WORKLOAD_IDENTITY), &options, &platform).expect("a source");
    for assertion in ["first", "second"] {
        files.put(FILE, FakeEntry::Link(assertion.into()));
        let request = source.request(&query(&options), &platform).expect("a request");
        let form = decode_form(request.body.as_ref().expect("a form").expose_secret());
        assert_eq!(form[4].1, assertion);
    }
    assert_eq!(files.reads(), 2);
}

#[test]
fn missing_client_id_is_an_error_without_fallback_to_imds() {
    let pod = &WORKLOAD_IDENTITY[..2];
    let with_source = options(|raw| raw.source = "WorkloadIdentity".into());
    for options in [
        system_assigned(),
        user_assigned(IdKind::ObjectId, "i"),
        user_assigned(IdKind::ResourceId, "i"),
        with_source,
    ] {
        assert_eq!(
            detect_name(&environment(pod), &options, &platform(&[])),
            SourceName::WorkloadIdentity
        );
        let error = creation_error(open_source(pod, &options));
        assert_eq!(*error.code(), Code::InvalidConfiguration);
        assert!(!error.details().unavailable, "{error}");
        assert_eq!(error.details().source, Some(SourceName::WorkloadIdentity));
        for word in [
            "AZURE_CLIENT_ID",
            "userAssignedClientId",
            "azure.workload.identity/client-id",
            "source: \"Imds\"",
        ] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    let imds_only = options(|raw| raw.source = "Imds".into());
    let result = open_source(pod, &imds_only).expect("a source");
    assert_eq!(result.name(), SourceName::DefaultToImds);
}

#[test]
fn only_a_missing_file_makes_the_credential_unavailable() {
    for (entry, is_unavailable) in [
        (None, true),
        (Some(FakeEntry::Locked), false),
        (Some(FakeEntry::Pipe), false),
        (Some(FakeEntry::File(b" \n".to_vec())), false),
        (Some(FakeEntry::File(vec![0xff])), false),
    ] {
        let files: Vec<_> = entry.map(|entry| (FILE, entry)).into_iter().collect();
        let error = request(WORKLOAD_IDENTITY, &system_assigned(), &platform(&files)).expect_err("an error");
        assert_eq!(error.details().unavailable, is_unavailable, "{error}");
    }
}
