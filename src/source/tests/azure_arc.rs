//! Validation of Azure Arc's challenges, and the confirmation of a user-assigned identity.
//!
//! Over 400 lines, because all tests use the same fake agent and its key files.

use serde_json::{Value, json};

use super::*;
use crate::test_support::FakeResponse;

const KEY: &str = "/var/opt/azcmagent/tokens/abc.key";

struct Agent {
    files: Arc<FakeFiles>,
    platform: Platform,
    source: Arc<dyn Source>,
}

impl Agent {
    fn new() -> Self {
        Self::with_variables(AZURE_ARC)
    }

    fn with_variables(variables: Variables<'_>) -> Self {
        let files = Arc::new(FakeFiles::default());
        Self {
            platform: test_support::platform(&FakeClock::new(), &files),
            files,
            source: open_source(variables, &system_assigned()).expect("a source"),
        }
    }

    fn with_file(path: &str, entry: FakeEntry) -> Self {
        let agent = Self::new();
        agent.files.put(path, entry);
        agent
    }

    fn answer(&self, header: Option<&str>) -> Result<Option<Request>, Error> {
        self.answer_lines(header.as_slice())
    }

    /// Answers a challenge with any number of header lines.
    fn answer_lines(&self, lines: &[&str]) -> Result<Option<Request>, Error> {
        let query = query(&system_assigned());
        let first = self.source.request(&query, &self.platform)?;
        // The body of a challenge does not matter.
        let mut response = FakeResponse::new(401, r#"{"error":"invalid_request"}"#);
        response.headers.www_authenticate = lines.iter().map(|line| (*line).to_owned()).collect();
        self.source
            .answer_challenge(&query, &response.to(&first), &self.platform)
    }

    fn error_for(&self, path: &str) -> Error {
        self.answer(Some(&format!("Basic realm={path}"))).expect_err(path)
    }
}

#[cfg(any(target_os = "linux", windows))]
fn authorization(request: Option<Request>) -> String {
    let request = request.expect("a second request");
    let sent = request.headers.iter().find(|(name, _)| *name == "Authorization");
    sent.expect("a key").1.expose_secret().to_owned()
}

#[test]
fn only_status_401_is_a_challenge() {
    let agent = Agent::new();
    let query = query(&system_assigned());
    let first = agent.source.request(&query, &agent.platform).expect("a request");
    for status in [200, 400, 403, 500] {
        let response = FakeResponse::new(status, "")
            .challenge(format!("Basic realm={KEY}"))
            .to(&first);
        let second = agent.source.answer_challenge(&query, &response, &agent.platform);
        assert!(second.expect("no error").is_none(), "{status}");
    }
    assert_eq!(agent.files.reads(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn challenge_response_repeats_the_request_with_the_key() {
    for (content, key) in [
        ("a-key", "a-key"),
        ("a-key\n", "a-key"),
        ("a-key \r\n\t", "a-key"),
        (" a key", " a key"),
    ] {
        let agent = Agent::with_file(KEY, FakeEntry::File(content.into()));
        let first = agent
            .source
            .request(&query(&system_assigned()), &agent.platform)
            .expect("a request");
        let second = agent
            .answer(Some(&format!("Basic realm={KEY}")))
            .expect("answered")
            .expect("a request");
        assert_eq!((second.url, second.method), (first.url, first.method));
        let visible = |headers: &[(&'static str, Secret)]| -> Vec<_> {
            headers
                .iter()
                .map(|(name, value)| (*name, value.expose_secret().to_owned()))
                .collect()
        };
        let mut expected = visible(&first.headers);
        expected.push(("Connection", "close".to_owned()));
        expected.push(("Authorization", format!("Basic {key}")));
        assert_eq!(visible(&second.headers), expected);
        assert!(
            second.secrets.iter().any(|secret| secret.expose_secret() == key),
            "the key without the scheme is redacted, too"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn challenge_scheme_and_realm_are_case_insensitive_and_the_path_may_be_quoted() {
    let agent = Agent::with_file(KEY, FakeEntry::File(b"k".to_vec()));
    for header in [
        format!("Basic realm={KEY}"),
        format!("basic REALM={KEY}"),
        format!("BASIC Realm=\"{KEY}\""),
        format!("  Basic   realm = {KEY}  "),
        format!("Basic\trealm=\" {KEY} \""),
    ] {
        assert_eq!(
            authorization(agent.answer(Some(&header)).expect(&header)),
            "Basic k"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn basic_challenge_is_found_in_any_header_line() {
    let agent = Agent::with_file(KEY, FakeEntry::File(b"k".to_vec()));
    let basic = &format!("Basic realm={KEY}");
    let parameters = &format!("Basic charset=\"UTF-8\", realm=\"{KEY}\", x=y");
    let escaped = &format!("Basic realm=\"{}\"", KEY.replace('/', "\\/"));
    for lines in [
        &["Negotiate", basic][..],
        &[basic, "Negotiate"],
        &["Negotiate YII=", "NTLM", basic],
        &[&format!("Negotiate, {basic}")],
        &[&format!("Negotiate YII=, {basic}, NTLM")],
        &[&format!("{basic}, charset=\"UTF-8\"")],
        &[parameters],
        &[&format!("Bearer realm=\"a, {basic}\", error=x, {basic}")],
        &["Basic", basic],
        &["Basic charset=UTF-8", basic],
        &["", basic],
        &["Basic realm=\"\"", basic],
    ] {
        let answered = agent.answer_lines(lines).expect("answered");
        assert_eq!(authorization(answered), "Basic k", "{lines:?}");
    }
    // Only a quotation mark and a backslash can be escaped: a Windows path may contain other backslashes.
    let error = agent.answer_lines(&[escaped]).expect_err("an error");
    assert_eq!(*error.code(), Code::InvalidFilePath);
    for lines in [
        &["Negotiate", "Bearer realm=/a.key"][..],
        &[&format!("Negotiate realm={KEY}, Basic")],
        &[&format!("Basic realm=\"{KEY}")],
        &["Basic, Negotiate YII=", &format!("realm={KEY}")],
    ] {
        let error = agent.answer_lines(lines).expect_err("an error");
        assert_eq!(*error.code(), Code::ChallengeUnsupported, "{lines:?}");
    }
    let error = agent.answer_lines(&["", " "]).expect_err("an error");
    assert_eq!(*error.code(), Code::ChallengeMissing);
}

#[test]
fn missing_and_malformed_challenges_have_different_errors() {
    let agent = Agent::with_file(KEY, FakeEntry::File(b"k".to_vec()));
    for (header, code) in [
        (None, Code::ChallengeMissing),
        (Some(""), Code::ChallengeMissing),
        (Some("  "), Code::ChallengeMissing),
        (Some("Basic"), Code::ChallengeUnsupported),
        (Some("Basic "), Code::ChallengeUnsupported),
        (Some("Basic realm"), Code::ChallengeUnsupported),
        (Some("Basic realm="), Code::ChallengeUnsupported),
        (Some("Basic realm=\"\""), Code::ChallengeUnsupported),
        (
            Some("realm=/var/opt/azcmagent/tokens/abc.key"),
            Code::ChallengeUnsupported,
        ),
        (
            Some("Basicrealm=/var/opt/azcmagent/tokens/abc.key"),
            Code::ChallengeUnsupported,
        ),
        (
            Some("Bearer realm=/var/opt/azcmagent/tokens/abc.key"),
            Code::ChallengeUnsupported,
        ),
        (
            Some("Basic realms=/var/opt/azcmagent/tokens/abc.key"),
            Code::ChallengeUnsupported,
        ),
        (
            Some("Basic x=/var/opt/azcmagent/tokens/abc.key"),
            Code::ChallengeUnsupported,
        ),
        (
            Some("Digest realm=\"a\", nonce=\"b\""),
            Code::ChallengeUnsupported,
        ),
    ] {
        let error = agent.answer(header).expect_err("an error");
        assert_eq!(*error.code(), code, "{header:?}");
    }
    assert_eq!(agent.files.reads(), 0);
}

#[cfg(target_os = "linux")]
#[test]
fn key_path_is_validated_before_opening() {
    for (path, code) in [
        ("/var/opt/azcmagent/tokens/abc", Code::InvalidFileExtension),
        (
            "/var/opt/azcmagent/tokens/abc.key.txt",
            Code::InvalidFileExtension,
        ),
        ("/var/opt/azcmagent/tokens/abc.KEY", Code::InvalidFileExtension),
        // The extension is checked before the directory.
        ("/etc/shadow", Code::InvalidFileExtension),
        ("/etc/shadow.key", Code::InvalidFilePath),
        ("/var/opt/azcmagent/tokens/../x.key", Code::InvalidFilePath),
        (
            "/var/opt/azcmagent/tokens/../tokens/abc.key",
            Code::InvalidFilePath,
        ),
        ("/var/opt/azcmagent/tokens/sub/abc.key", Code::InvalidFilePath),
        ("/var/opt/azcmagent/tokens//abc.key", Code::InvalidFilePath),
        ("/var/opt/azcmagent/tokens/a\\b.key", Code::InvalidFilePath),
        ("/var/opt/azcmagent/tokens/a\0b.key", Code::InvalidFilePath),
        ("/var/opt/azcmagent/tokensabc.key", Code::InvalidFilePath),
        ("/VAR/opt/azcmagent/tokens/abc.key", Code::InvalidFilePath),
        ("var/opt/azcmagent/tokens/abc.key", Code::InvalidFilePath),
        ("abc.key", Code::InvalidFilePath),
        (
            r"C:\ProgramData\AzureConnectedMachineAgent\Tokens\abc.key",
            Code::InvalidFilePath,
        ),
    ] {
        let agent = Agent::with_file(path, FakeEntry::File(b"k".to_vec()));
        let error = agent.error_for(path);
        assert_eq!(*error.code(), code, "{path}");
        assert_eq!(agent.files.reads(), 0, "{path}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn key_file_must_be_regular_readable_and_bounded() {
    for (entry, code, expected) in [
        (
            Some(FakeEntry::Pipe),
            Code::UnableToReadSecretFile,
            "not a regular file",
        ),
        (
            Some(FakeEntry::Link(b"k".to_vec())),
            Code::UnableToReadSecretFile,
            "not a regular file",
        ),
        (
            Some(FakeEntry::Locked),
            Code::UnableToReadSecretFile,
            "the group \"himds\"",
        ),
        (None, Code::UnableToReadSecretFile, "cannot be read"),
        (
            Some(FakeEntry::File(vec![b'k'; 4_097])),
            Code::InvalidSecret,
            "more than 4096 bytes",
        ),
        (
            Some(FakeEntry::File(vec![])),
            Code::InvalidSecret,
            "does not contain a key",
        ),
        (
            Some(FakeEntry::File(b" \n\t".to_vec())),
            Code::InvalidSecret,
            "does not contain a key",
        ),
        (
            Some(FakeEntry::File(b"a\nb".to_vec())),
            Code::InvalidSecret,
            "does not contain a key",
        ),
        (
            Some(FakeEntry::File(vec![0xff, 0xfe])),
            Code::InvalidSecret,
            "does not contain a key",
        ),
    ] {
        let agent = Agent::new();
        if let Some(entry) = entry {
            agent.files.put(KEY, entry);
        }
        let error = agent.error_for(KEY);
        assert_eq!(*error.code(), code, "{expected}");
        assert!(
            error.to_string().contains(expected) && error.to_string().contains(KEY),
            "{error}"
        );
    }
    let largest = Agent::with_file(KEY, FakeEntry::File(vec![b'k'; 4_096]));
    assert!(largest.answer(Some(&format!("Basic realm={KEY}"))).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn key_file_is_read_for_every_challenge() {
    let agent = Agent::new();
    for key in ["one", "two"] {
        agent.files.put(KEY, FakeEntry::File(key.into()));
        let second = agent
            .answer(Some(&format!("Basic realm={KEY}")))
            .expect("answered");
        assert_eq!(authorization(second), format!("Basic {key}"));
    }
    assert_eq!(agent.files.reads(), 2);
}

#[cfg(windows)]
#[test]
fn key_path_on_windows_is_in_the_directory_below_program_data() {
    const DIRECTORY: &str = r"C:\ProgramData\AzureConnectedMachineAgent\Tokens";
    for program_data in [r"C:\ProgramData", r"C:\ProgramData\"] {
        let agent = Agent::with_variables(&[AZURE_ARC, &[(v::PROGRAM_DATA, program_data)]].concat());
        let key = format!(r"{DIRECTORY}\abc.key");
        agent.files.put(&key, FakeEntry::File(b"k".to_vec()));
        let second = agent.answer(Some(&format!("Basic realm={key}")));
        assert_eq!(authorization(second.expect("answered")), "Basic k");
        for (path, code) in [
            (format!(r"{DIRECTORY}\abc"), Code::InvalidFileExtension),
            (format!(r"{DIRECTORY}\..\abc.key"), Code::InvalidFilePath),
            (format!(r"{DIRECTORY}\sub/abc.key"), Code::InvalidFilePath),
            (r"C:\abc.key".to_owned(), Code::InvalidFilePath),
            (KEY.to_owned(), Code::InvalidFilePath),
        ] {
            assert_eq!(*agent.error_for(&path).code(), code, "{path}");
        }
    }
    let error = Agent::new().error_for(&format!(r"{DIRECTORY}\abc.key"));
    assert_eq!(*error.code(), Code::InvalidFilePath, "without ProgramData");
}

#[cfg(not(any(target_os = "linux", windows)))]
#[test]
fn unsupported_platform_has_no_agent() {
    for path in [KEY, "/etc/shadow"] {
        assert_eq!(*Agent::new().error_for(path).code(), Code::PlatformNotSupported);
    }
}

#[test]
fn user_assigned_identity_must_be_confirmed_by_its_own_field() {
    use IdKind::{ClientId, ObjectId, ResourceId};
    for (kind, body, is_confirmed) in [
        (ClientId, json!({"client_id": "id"}), true),
        (ClientId, json!({"client_id": "ID"}), true),
        (ClientId, json!({"client_id": "other"}), false),
        (ClientId, json!({"client_id": ""}), false),
        (ClientId, json!({"client_id": 5}), false),
        (ClientId, json!({"client_id": null}), false),
        (ClientId, json!({"client_id": ["id"]}), false),
        (ClientId, json!({"object_id": "id"}), false),
        (ClientId, json!({}), false),
        (ObjectId, json!({"object_id": "Id"}), true),
        (ObjectId, json!({"client_id": "id"}), false),
        (ResourceId, json!({"msi_res_id": "iD"}), true),
        (ResourceId, json!({"mi_res_id": "id"}), true),
        (ResourceId, json!({"resource_id": "id"}), false),
    ] {
        let options = user_assigned(kind, "id");
        let result = verify(&options, &body);
        assert_eq!(result.is_ok(), is_confirmed, "{kind:?} {body}");
        if let Err(error) = result {
            assert_eq!(*error.code(), Code::UserAssignedNotConfirmed);
        }
    }
    assert!(verify(&system_assigned(), &json!({})).is_ok());
}

fn verify(options: &ApplicationOptions, body: &Value) -> Result<(), Error> {
    let source = open_source(AZURE_ARC, options).expect("a source");
    let token_response = TokenResponse::parse(body.to_string().as_bytes()).expect("an object");
    source.verify_response(&query(options), &token_response)
}

#[test]
fn only_azure_arc_confirms_the_identity() {
    let options = user_assigned(IdKind::ClientId, "id");
    let token_response = TokenResponse::parse(br#"{"client_id":"other"}"#).expect("an object");
    for variables in [APP_SERVICE, MACHINE_LEARNING, &[], WORKLOAD_IDENTITY] {
        let source = open_source(variables, &options).expect("a source");
        assert!(source.verify_response(&query(&options), &token_response).is_ok());
    }
}
