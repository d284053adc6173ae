//! Real directories, some of which others could change.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::platform::user::effective_user_id;

const OTHER_USER: u32 = 1;

/// A directory for one test, with the mode 0700.
struct Place(PathBuf);

#[expect(clippy::disallowed_methods, reason = "the tests lay out real directories")]
impl Place {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let nth = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("min-safe-path-{}-{nth}", std::process::id());
        let path = std::env::temp_dir()
            .canonicalize()
            .expect("a directory")
            .join(name);
        std::fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .expect("made");
        Self(path)
    }

    /// A directory in it with these rights.
    fn directory(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path).expect("made");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        path
    }

    fn link(&self, name: &str, target: &str) -> PathBuf {
        let path = self.0.join(name);
        symlink(target, &path).expect("a link");
        path
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn check(path: &Path) -> Result<PathBuf, DirectoryError> {
    private_directory(path, effective_user_id().expect("a user"))
}

/// Whether this process may give files away.
fn is_root() -> bool {
    effective_user_id().expect("a user") == ROOT_USER
}

#[tokio::test]
async fn missing_directories_are_created_for_this_user_only() {
    let place = Place::new();
    let path = place.0.join("a/b/c");
    assert_eq!(check(&path).expect("safe"), path);
    for made in ["a", "a/b", "a/b/c"] {
        let mode = inspect(&place.0.join(made)).expect("made").mode();
        assert_eq!(mode & 0o777, 0o700, "{made}");
    }
    assert_eq!(check(&path).expect("safe"), path);
}

#[tokio::test]
async fn parent_writable_by_others_is_rejected_unless_sticky() {
    for (mode, is_safe) in [
        (0o755, true),
        (0o750, true),
        (0o1777, true),
        (0o1770, true),
        (0o777, false),
        (0o770, false),
        (0o702, false),
        (0o2775, false),
    ] {
        let place = Place::new();
        let parent = place.directory("parent", mode);
        match check(&parent.join("between/tokens")) {
            Ok(_) => assert!(is_safe, "{mode:o}"),
            Err(DirectoryError::ParentTooPermissive(path)) => {
                assert_eq!((path, is_safe), (parent.clone(), false), "{mode:o}");
                // Nothing is made below it.
                assert!(inspect(&parent.join("between")).is_err(), "{mode:o}");
            }
            Err(fault) => panic!("{mode:o}: {fault:?}"),
        }
    }
}

#[tokio::test]
async fn symbolic_links_are_followed_and_their_targets_checked() {
    let place = Place::new();
    let real = place.directory("real", 0o700);
    place.directory("open/inner", 0o755);
    place.directory("open", 0o777);
    place.link("absolute", real.to_str().expect("a text"));
    place.link("relative", "./real/../real");
    place.link("chain", "relative");
    for link in ["absolute", "relative", "chain"] {
        let found = check(&place.0.join(link).join("tokens")).expect("safe");
        assert_eq!(found, real.join("tokens"), "{link}");
    }
    place.link("through-open", "open/inner");
    let fault = check(&place.0.join("through-open/tokens")).expect_err("refused");
    assert!(
        matches!(fault, DirectoryError::ParentTooPermissive(_)),
        "{fault:?}"
    );
    place.link("circle", "circle");
    let fault = check(&place.0.join("circle/tokens")).expect_err("refused");
    assert!(matches!(fault, DirectoryError::Io(_)), "{fault:?}");
    // The directory itself may not be a link.
    let fault = check(&place.0.join("absolute")).expect_err("refused");
    assert!(matches!(fault, DirectoryError::NotADirectory), "{fault:?}");
}

#[tokio::test]
async fn directory_accessible_by_others_is_rejected() {
    let place = Place::new();
    for (mode, is_safe) in [(0o700, true), (0o500, true), (0o711, false), (0o740, false)] {
        let found = check(&place.directory("tokens", mode));
        assert_eq!(found.is_ok(), is_safe, "{mode:o}");
    }
    // Neither by way of what lies above it.
    let fault = check(&place.directory("open", 0o755).join("a/..")).expect_err("refused");
    assert!(matches!(fault, DirectoryError::TooPermissive), "{fault:?}");
}

#[tokio::test]
async fn path_component_of_another_user_is_rejected() {
    if !is_root() {
        return; // Only root can give a directory away.
    }
    let place = Place::new();
    let sticky = place.directory("sticky", 0o1777);
    let foreign = place.directory("sticky/foreign", 0o755);
    chown(&foreign, Some(OTHER_USER), None).expect("given away");
    for below in ["tokens", "between/tokens"] {
        let fault = check(&foreign.join(below)).expect_err("refused");
        assert!(
            matches!(&fault, DirectoryError::ParentWrongOwner(path) if *path == foreign),
            "{fault:?}"
        );
    }
    // Its owner can make it sticky, and can rename what lies there all the same.
    place.directory("sticky/foreign", 0o1755);
    let fault = check(&foreign.join("tokens")).expect_err("refused");
    assert!(matches!(fault, DirectoryError::ParentWrongOwner(_)), "{fault:?}");
    // Another user's link in a directory such as /tmp.
    let link = place.link("sticky/link", "../real");
    place.directory("real", 0o700);
    assert!(check(&link.join("tokens")).is_ok());
    std::os::unix::fs::lchown(&link, Some(OTHER_USER), None).expect("given away");
    let fault = check(&link.join("tokens")).expect_err("refused");
    assert!(
        matches!(&fault, DirectoryError::ParentWrongOwner(path) if *path == link),
        "{fault:?}"
    );
    // And the directory itself.
    let tokens = place.directory("sticky/tokens", 0o700);
    chown(&tokens, Some(OTHER_USER), None).expect("given away");
    let fault = check(&tokens).expect_err("refused");
    assert!(matches!(fault, DirectoryError::WrongOwner), "{fault:?}");
    assert_eq!(
        private_directory(&tokens, OTHER_USER).expect("safe for its owner"),
        tokens
    );
    assert!(check(&sticky.join("own")).is_ok());
}
