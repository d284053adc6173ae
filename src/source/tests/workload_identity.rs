//! A workload's exchange of one token for another.

use super::*;
use crate::http::Method;

const TENANT: &str = "8f7d9c1e-0000-4000-8000-00000000000a";
const CLIENT: &str = "8f7d9c1e-0000-4000-8000-00000000000b";

fn holding(bytes: &[u8]) -> Platform {
    platform(&[(FILE, FakeEntry::File(bytes.to_vec()))])
}

fn request(
    variables: Variables<'_>,
    options: &ApplicationOptions,
    platform: &Platform,
) -> Result<Request, Error> {
    create(&environment(variables), options, platform)?.request(&query(options), platform)
}

/// The pairs of a form, decoded.
fn decoded(form: &str) -> Vec<(String, String)> {
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
    let platform = holding(b" header.pay+load.sign_ature=\n");
    let request = request(WORKLOAD_IDENTITY, &system_assigned(), &platform).expect("a request");
    assert_eq!(request.method, Method::Post);
    assert_eq!(
        request.url.as_str(),
        format!("https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token")
    );
    let form = decoded(request.body.as_ref().expect("a form").expose_secret());
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
    let request = request(WORKLOAD_IDENTITY, &options, &holding(b"assertion")).expect("a request");
    assert_eq!(request.url.query(), None);
    let form = decoded(request.body.as_ref().expect("a form").expose_secret());
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
            &holding(content.as_bytes()),
        );
        let form = decoded(
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
        &holding("\u{feff}\n".as_bytes()),
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
        let error = refused(opened(
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
        // The lower-case spelling wins, and an asterisk means that there is none.
        &[
            (v::HTTPS_PROXY_LOWER, "http://proxy:3128"),
            (v::HTTPS_PROXY, "\"x\""),
        ][..],
        &[(v::HTTPS_PROXY, "htp://x"), (v::NO_PROXY, "a, *")],
        &[(v::HTTPS_PROXY, ""), (v::HTTPS_PROXY_LOWER, "")],
        &[(v::HTTPS_PROXY, " HTTP://u:p@proxy:3128/ ")],
        &[(v::HTTPS_PROXY, "https://[::1]:3128")],
    ] {
        let opened = opened(&with(WORKLOAD_IDENTITY, others), &system_assigned());
        assert!(opened.is_ok(), "{others:?}");
    }
    // No other source goes over the internet.
    for variables in [
        &[][..],
        APP_SERVICE,
        AZURE_ARC,
        CLOUD_SHELL,
        MACHINE_LEARNING,
        SERVICE_FABRIC,
    ] {
        let proxied = with(variables, &[(v::HTTPS_PROXY, "\"x\"")]);
        assert!(opened(&proxied, &system_assigned()).is_ok());
    }
}

#[test]
fn client_id_option_overrides_the_environment() {
    let options = user_assigned(IdKind::ClientId, "own");
    let platform = holding(b"assertion");
    for variables in [
        WORKLOAD_IDENTITY,
        &with(WORKLOAD_IDENTITY, &[(v::AZURE_CLIENT_ID, "")]),
    ] {
        let request = request(variables, &options, &platform).expect("a request");
        let form = decoded(request.body.as_ref().expect("a form").expose_secret());
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
        let request = request(&variables, &system_assigned(), &holding(b"a")).expect("a request");
        assert_eq!(
            request.url.as_str(),
            format!("https://login.microsoftonline.us/{TENANT}/oauth2/v2.0/token")
        );
    }
}

#[test]
fn tenant_must_be_a_guid_or_domain() {
    for (tenant, good) in [
        (TENANT, true),
        ("contoso.onmicrosoft.com", true),
        ("a/b", false),
        ("a?b", false),
        ("a b", false),
        ("ä", false),
    ] {
        let variables = with(WORKLOAD_IDENTITY, &[(v::AZURE_TENANT_ID, tenant)]);
        let opened = opened(&variables, &system_assigned());
        assert_eq!(opened.is_ok(), good, "{tenant}");
        if let Err(error) = opened {
            assert_eq!(*error.code(), Code::InvalidConfiguration);
            assert!(error.to_string().contains("AZURE_TENANT_ID"), "{error}");
        }
    }
}

#[test]
fn invalid_assertion_file_is_named_with_its_problem() {
    for (entry, said) in [
        (None, "cannot be read"),
        (Some(FakeEntry::Locked), "cannot be read"),
        (Some(FakeEntry::Pipe), "is no regular file"),
        (
            Some(FakeEntry::File(vec![b'a'; 65_537])),
            "is larger than a token",
        ),
        (Some(FakeEntry::File(vec![0xff])), "holds no text"),
        (Some(FakeEntry::File(b" \n".to_vec())), "is empty"),
    ] {
        let files: Vec<_> = entry.map(|entry| (FILE, entry)).into_iter().collect();
        let error = request(WORKLOAD_IDENTITY, &system_assigned(), &platform(&files)).expect_err(said);
        assert_eq!(*error.code(), Code::UnableToReadSecretFile);
        let message = &error.details().message;
        assert!(
            message.contains(said)
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
    let source = create(&environment(WORKLOAD_IDENTITY), &options, &platform).expect("opened");
    for assertion in ["first", "second"] {
        files.put(FILE, FakeEntry::Link(assertion.into()));
        let request = source.request(&query(&options), &platform).expect("a request");
        let form = decoded(request.body.as_ref().expect("a form").expose_secret());
        assert_eq!(form[4].1, assertion);
    }
    assert_eq!(files.reads(), 2);
}

#[test]
fn missing_client_id_is_an_error_without_fallback_to_imds() {
    let pod = &WORKLOAD_IDENTITY[..2];
    let chosen = options(|raw| raw.source = "WorkloadIdentity".into());
    for options in [
        system_assigned(),
        user_assigned(IdKind::ObjectId, "i"),
        user_assigned(IdKind::ResourceId, "i"),
        chosen,
    ] {
        assert_eq!(
            detect_name(&environment(pod), &options, &platform(&[])),
            SourceName::WorkloadIdentity
        );
        let error = refused(opened(pod, &options));
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
    let nodes = options(|raw| raw.source = "Imds".into());
    let opened = opened(pod, &nodes).expect("chosen");
    assert_eq!(opened.name(), SourceName::DefaultToImds);
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
        let error = request(WORKLOAD_IDENTITY, &system_assigned(), &platform(&files)).expect_err("none");
        assert_eq!(error.details().unavailable, is_unavailable, "{error}");
    }
}
