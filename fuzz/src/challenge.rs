//! Azure Arc's challenge: the only file that is ever opened for it lies directly in the agent's folder.
//!
//! The input is the `WWW-Authenticate` header, a line each. It is taken as it is, beside a challenge that names a key, and
//! once more as the name of a file. The folder is that of Linux, where this is meant to be run.

use std::path::{Component, Path};
use std::sync::Arc;

use managed_identity_native::error::{Code, Error};
use managed_identity_native::http::{Request, Response, ResponseHeaders};

use crate::fake_platform::{self, Disk, KEY, Look};

const FOLDER: &str = "/var/opt/azcmagent/tokens/";
const ENDPOINT: &str = "http://127.0.0.1:40342/metadata/identity/oauth2/token";
const RESOURCE: &str = "https://vault.azure.net";
const KEY_LIMIT: usize = 4_096;

/// Challenges that must not be taken for the one that counts.
const OTHERS: [&str; 6] = [
    "Negotiate",
    "Negotiate YII=",
    "Basic",
    "Basic charset=\"UTF-8\"",
    r#"Bearer realm="a, Basic realm=/etc/a.key", error=invalid"#,
    r#"Digest realm="say \", Basic realm=/etc/b.key", nonce=a"#,
];

/// Checks what a header leads to.
pub fn check(data: &[u8]) {
    let header = String::from_utf8_lossy(data);
    let lines: Vec<&str> = header.split('\n').collect();
    let found = challenge(401, &lines);
    match &found.second {
        Ok(Some(request)) => assert_reads_one_key(&header, &found, request),
        Ok(None) => panic!("a 401 is a challenge, whatever it says"),
        Err(error) => {
            // This disk has a good file everywhere, so whatever is refused was refused for its name.
            assert_eq!(found.looks, [], "{header:?}");
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
            assert_is_passed_over(&lines, error);
            assert!(
                !error.details().message.chars().any(char::is_control),
                "{error:?}"
            );
        }
    }
    for (status, lines) in [(200, &*lines), (403, &lines), (500, &lines), (200, &[])] {
        let found = challenge(status, lines);
        assert!(
            matches!(found.second, Ok(None)) && found.looks.is_empty(),
            "{status}"
        );
    }
    check_name(&header);
}

/// What came of one answer.
struct ChallengeResult {
    first: Request,
    second: Result<Option<Request>, Error>,
    looks: Vec<Look>,
}

fn challenge(status: u16, lines: &[&str]) -> ChallengeResult {
    let disk = Arc::new(Disk::default());
    let platform = fake_platform::platform(&disk);
    let arc = [
        ("IDENTITY_ENDPOINT", ENDPOINT),
        ("IMDS_ENDPOINT", "http://127.0.0.1:40342"),
    ];
    let source = fake_platform::open(arc).expect("Azure Arc");
    let query = fake_platform::query(RESOURCE);
    let first = source.request(&query, &platform).expect("a request");
    let response = Response {
        headers: ResponseHeaders {
            www_authenticate: lines.iter().map(|line| (*line).to_owned()).collect(),
            ..ResponseHeaders::default()
        },
        ..fake_platform::response(&first, status, b"")
    };
    let second = source.answer_challenge(&query, &response, &platform);
    ChallengeResult {
        first,
        second,
        looks: disk.looks(),
    }
}

fn assert_reads_one_key(header: &str, found: &ChallengeResult, request: &Request) {
    let [look] = &found.looks[..] else {
        panic!("{} looks at the disk for {header:?}", found.looks.len());
    };
    assert!(!look.follow_links && look.limit == KEY_LIMIT, "{look:?}");
    assert_eq!(look.path.parent(), Some(Path::new(FOLDER)), "{header:?}");
    let path = look.path.to_str().expect("a text, as the header is");
    let unescaped = header.replace("\\\"", "\"");
    assert!(
        header.contains(path) || unescaped.contains(path),
        "{path:?} is not what {header:?} names"
    );
    assert!(
        path.strip_suffix(".key").is_some() && !path.contains('\0'),
        "{path:?}"
    );
    let climbs = look
        .path
        .components()
        .any(|part| matches!(part, Component::ParentDir | Component::CurDir));
    // The folder has four parts after the root, and the file is the fifth.
    assert!(
        !climbs && look.path.components().count() == 6 && !path.contains('\\'),
        "{path:?}"
    );

    assert!(header.to_ascii_lowercase().contains("basic"), "{header:?}");
    assert_eq!(
        request.url, found.first.url,
        "the key goes where the first request went"
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
        "the key is kept out of messages"
    );
}

/// A header without a key to read hides none that stands before or behind it, unless it names another file.
fn assert_is_passed_over(lines: &[&str], error: &Error) {
    let path = format!("{FOLDER}abc.key");
    let good = format!("Basic realm={path}");
    let before = challenge(401, &[&[&*good], lines].concat());
    assert!(before.looks.iter().all(|look| look.path == Path::new(&path)));
    assert!(
        before.second.is_ok(),
        "{lines:?} is in the way of what is before it"
    );
    let behind = challenge(401, &[lines, &[&*good]].concat());
    let names_nothing = matches!(error.code(), Code::ChallengeMissing | Code::ChallengeUnsupported);
    assert_eq!(
        behind.second.is_ok(),
        names_nothing,
        "{lines:?} and what is behind it"
    );
}

/// A challenge that names a file of the folder is answered if and only if the name is a mere name.
fn check_name(name: &str) {
    let name = name.trim();
    let is_plain = !name.contains(['/', '\\', '\0']) && !name.is_empty();
    let bare = format!("Basic realm={FOLDER}{name}.key");
    let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
    let quoted = format!("basic  REALM = \" {FOLDER}{escaped}.key \" ");
    let named = Look {
        path: format!("{FOLDER}{name}.key").into(),
        limit: KEY_LIMIT,
        follow_links: false,
    };
    let check = |lines: &[&str], must_read: bool| {
        let found = challenge(401, lines);
        assert!(!must_read || found.second.is_ok(), "{lines:?} is refused");
        assert!(
            found.second.is_err() || found.looks.iter().eq([&named]),
            "{lines:?}"
        );
    };
    // What is not quoted ends at a comma.
    if !name.contains([',', '"']) {
        check(&[&bare], is_plain);
    }
    check(&[&quoted], is_plain);
    for other in OTHERS {
        check(&[other, &quoted], is_plain);
        check(&[&quoted, other], is_plain);
        check(&[&format!("{other}, {quoted}, x=y, {other}")], is_plain);
        check(&[&format!("Basic x=\"y, z\", {}", &quoted[7..])], is_plain);
    }
}
