//! Azure Arc's challenge: the only file that is opened is directly in the agent's key directory.
//!
//! The input is the `WWW-Authenticate` headers, one per line. The target uses it alone, beside a challenge that names a key,
//! and as a file name. The directory is that of Linux, so the target must run on Linux.

use std::path::{Component, Path};
use std::sync::Arc;

use managed_identity_native::error::{Code, Error};
use managed_identity_native::http::{Request, Response, ResponseHeaders};

use crate::fake_platform::{self, FileRead, KEY, RecordingFiles};

const KEY_DIRECTORY: &str = "/var/opt/azcmagent/tokens/";
const ENDPOINT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
const RESOURCE: &str = "https://vault.azure.net";
const MAX_KEY_BYTES: usize = 4_096;

/// Challenges that must be ignored.
const OTHERS: [&str; 6] = [
    "Negotiate",
    "Negotiate YII=",
    "Basic",
    "Basic charset=\"UTF-8\"",
    r#"Bearer realm="a, Basic realm=/etc/a.key", error=invalid"#,
    r#"Digest realm="say \", Basic realm=/etc/b.key", nonce=a"#,
];

/// Checks the result for a header.
pub fn check(data: &[u8]) {
    let header = String::from_utf8_lossy(data);
    let lines: Vec<&str> = header.split('\n').collect();
    let result = challenge(401, &lines);
    match &result.answer {
        Ok(Some(request)) => assert_reads_one_key(&header, &result, request),
        Ok(None) => panic!("every 401 is a challenge"),
        Err(error) => {
            // Every path is a valid file, so only its name can be rejected.
            assert_eq!(result.reads, [], "{header:?}");
            assert!(
                matches!(
                    error.code(),
                    Code::ChallengeMissing
                        | Code::ChallengeUnsupported
                        | Code::InvalidFileExtension
                        | Code::InvalidFilePath
                ),
                "{error}"
            );
            assert_eq!(
                *error.code() == Code::ChallengeMissing,
                header.trim().is_empty(),
                "{header:?}"
            );
            assert_does_not_hide_others(&lines, error);
            assert!(
                !error.details().message.chars().any(char::is_control),
                "{error:?}"
            );
        }
    }
    for (status, lines) in [(200, &*lines), (403, &lines), (500, &lines), (200, &[])] {
        let result = challenge(status, lines);
        assert!(
            matches!(result.answer, Ok(None)) && result.reads.is_empty(),
            "{status}"
        );
    }
    check_name(&header);
}

/// The result of one response.
struct ChallengeResult {
    token_request: Request,
    answer: Result<Option<Request>, Error>,
    reads: Vec<FileRead>,
}

fn challenge(status: u16, lines: &[&str]) -> ChallengeResult {
    let files = Arc::new(RecordingFiles::default());
    let platform = fake_platform::platform(&files);
    let arc = [
        ("IDENTITY_ENDPOINT", ENDPOINT),
        ("IMDS_ENDPOINT", "http://127.0.0.1:40342"),
    ];
    let source = fake_platform::create_source(arc).expect("Azure Arc");
    let query = fake_platform::query(RESOURCE);
    let token_request = source.request(&query, &platform).expect("a request");
    let response = Response {
        headers: ResponseHeaders {
            www_authenticate: lines.iter().map(|line| (*line).to_owned()).collect(),
            ..ResponseHeaders::default()
        },
        ..fake_platform::response(&token_request, status, b"")
    };
    let answer = source.answer_challenge(&query, &response, &platform);
    ChallengeResult {
        token_request,
        answer,
        reads: files.take_reads(),
    }
}

fn assert_reads_one_key(header: &str, result: &ChallengeResult, request: &Request) {
    let [read] = &result.reads[..] else {
        panic!("{} reads for {header:?}", result.reads.len());
    };
    assert!(!read.follow_links && read.limit == MAX_KEY_BYTES, "{read:?}");
    assert_eq!(read.path.parent(), Some(Path::new(KEY_DIRECTORY)), "{header:?}");
    let path = read.path.to_str().expect("valid Unicode, as the header is");
    let unescaped = header.replace("\\\"", "\"");
    assert!(
        header.contains(path) || unescaped.contains(path),
        "{header:?} does not contain {path:?}"
    );
    assert!(
        path.strip_suffix(".key").is_some() && !path.contains('\0'),
        "{path:?}"
    );
    let has_dot_segments = read
        .path
        .components()
        .any(|part| matches!(part, Component::ParentDir | Component::CurDir));
    // The root, the four components of the directory, and the file.
    assert!(
        !has_dot_segments && read.path.components().count() == 6 && !path.contains('\\'),
        "{path:?}"
    );

    assert!(header.to_ascii_lowercase().contains("basic"), "{header:?}");
    assert_eq!(
        request.url, result.token_request.url,
        "the key is sent to the same address as the first request"
    );
    let sent: Vec<_> = request
        .headers
        .iter()
        .filter(|(name, _)| *name == "Authorization")
        .collect();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].1.expose_secret(), format!("Basic {KEY}"));
    assert!(
        request.secrets.iter().any(|secret| secret.expose_secret() == KEY),
        "the key is redacted from messages"
    );
}

/// A header without a valid key path does not hide a valid challenge before or after it, unless it names another file.
fn assert_does_not_hide_others(lines: &[&str], error: &Error) {
    let path = format!("{KEY_DIRECTORY}abc.key");
    let valid = format!("Basic realm={path}");
    let before = challenge(401, &[&[&*valid], lines].concat());
    assert!(before.reads.iter().all(|read| read.path == Path::new(&path)));
    assert!(before.answer.is_ok(), "{lines:?} hides the challenge before it");
    let after = challenge(401, &[lines, &[&*valid]].concat());
    let names_no_file = matches!(error.code(), Code::ChallengeMissing | Code::ChallengeUnsupported);
    assert_eq!(
        after.answer.is_ok(),
        names_no_file,
        "{lines:?} and the challenge after it"
    );
}

/// A challenge that names a file in the directory is answered if and only if the name has no separators.
fn check_name(name: &str) {
    let name = name.trim();
    let is_file_name = !name.contains(['/', '\\', '\0']) && !name.is_empty();
    let bare = format!("Basic realm={KEY_DIRECTORY}{name}.key");
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = format!("basic  REALM = \" {KEY_DIRECTORY}{escaped}.key \" ");
    let expected = FileRead {
        path: format!("{KEY_DIRECTORY}{name}.key").into(),
        limit: MAX_KEY_BYTES,
        follow_links: false,
    };
    let check = |lines: &[&str], must_succeed: bool| {
        let result = challenge(401, lines);
        assert!(!must_succeed || result.answer.is_ok(), "{lines:?} is rejected");
        assert!(
            result.answer.is_err() || result.reads.iter().eq([&expected]),
            "{lines:?}"
        );
    };
    // An unquoted value ends at a comma.
    if !name.contains([',', '"']) {
        check(&[&bare], is_file_name);
    }
    check(&[&quoted], is_file_name);
    for other in OTHERS {
        check(&[other, &quoted], is_file_name);
        check(&[&quoted, other], is_file_name);
        check(&[&format!("{other}, {quoted}, x=y, {other}")], is_file_name);
        check(&[&format!("Basic x=\"y, z\", {}", &quoted[7..])], is_file_name);
    }
}
