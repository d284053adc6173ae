//! Checks of real directories, some of which other users could change.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::platform::user::effective_user_id;

const OTHER_USER: u32 = 1;

/// A temporary directory for one test, with mode 0700.
struct TestDirectory(PathBuf);

#[expect(clippy::disallowed_methods, reason = "the tests create real directories")]
impl TestDirectory {
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
            .expect("created");
        Self(path)
    }

    /// Creates a subdirectory with this mode.
    fn directory(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(&path).expect("created");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("a mode");
        path
    }

    fn link(&self, name: &str, target: &str) -> PathBuf {
        let path = self.0.join(name);
        symlink(target, &path).expect("a link");
        path
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn check(path: &Path) -> Result<PathBuf, DirectoryError> {
    private_directory(path, effective_user_id().expect("a user"))
}

/// Returns whether this process may change the owner of files.
fn is_root() -> bool {
    effective_user_id().expect("a user") == ROOT_USER
}

#[tokio::test]
async fn missing_directories_are_created_for_this_user_only() {
    let base = TestDirectory::new();
    let path = base.0.join("a/b/c");
    assert_eq!(check(&path).expect("safe"), path);
    for made in ["a", "a/b", "a/b/c"] {
        let mode = inspect(&base.0.join(made)).expect("created").mode();
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
        let base = TestDirectory::new();
        let parent = base.directory("parent", mode);
        match check(&parent.join("between/tokens")) {
            Ok(_) => assert!(is_safe, "{mode:o}"),
            Err(DirectoryError::ParentTooPermissive(path)) => {
                assert_eq!((path, is_safe), (parent.clone(), false), "{mode:o}");
                // Nothing is created below it.
                assert!(inspect(&parent.join("between")).is_err(), "{mode:o}");
            }
            Err(error) => panic!("{mode:o}: {error:?}"),
        }
    }
}

#[tokio::test]
async fn symbolic_links_are_followed_and_their_targets_checked() {
    let base = TestDirectory::new();
    let real = base.directory("real", 0o700);
    base.directory("open/inner", 0o755);
    base.directory("open", 0o777);
    base.link("absolute", real.to_str().expect("a text"));
    base.link("relative", "./real/../real");
    base.link("chain", "relative");
    for link in ["absolute", "relative", "chain"] {
        let found = check(&base.0.join(link).join("tokens")).expect("safe");
        assert_eq!(found, real.join("tokens"), "{link}");
    }
    base.link("through-open", "open/inner");
    let error = check(&base.0.join("through-open/tokens")).expect_err("refused");
    assert!(
        matches!(error, DirectoryError::ParentTooPermissive(_)),
        "{error:?}"
    );
    base.link("circle", "circle");
    let error = check(&base.0.join("circle/tokens")).expect_err("refused");
    assert!(matches!(error, DirectoryError::Io(_)), "{error:?}");
    // The last component must not be a link.
    let error = check(&base.0.join("absolute")).expect_err("refused");
    assert!(matches!(error, DirectoryError::NotADirectory), "{error:?}");
}

#[tokio::test]
async fn directory_accessible_by_others_is_rejected() {
    let base = TestDirectory::new();
    for (mode, is_safe) in [(0o700, true), (0o500, true), (0o711, false), (0o740, false)] {
        let found = check(&base.directory("tokens", mode));
        assert_eq!(found.is_ok(), is_safe, "{mode:o}");
    }
    // The same applies if the path ends in `..`.
    let error = check(&base.directory("open", 0o755).join("a/..")).expect_err("refused");
    assert!(matches!(error, DirectoryError::TooPermissive), "{error:?}");
}

#[tokio::test]
async fn path_component_of_another_user_is_rejected() {
    if !is_root() {
        return; // Only root can change the owner of a directory.
    }
    let base = TestDirectory::new();
    let sticky = base.directory("sticky", 0o1777);
    let foreign = base.directory("sticky/foreign", 0o755);
    chown(&foreign, Some(OTHER_USER), None).expect("chown");
    for below in ["tokens", "between/tokens"] {
        let error = check(&foreign.join(below)).expect_err("refused");
        assert!(
            matches!(&error, DirectoryError::ParentWrongOwner(path) if *path == foreign),
            "{error:?}"
        );
    }
    // Its sticky bit does not help: the owner of a directory can rename all its entries.
    base.directory("sticky/foreign", 0o1755);
    let error = check(&foreign.join("tokens")).expect_err("refused");
    assert!(matches!(error, DirectoryError::ParentWrongOwner(_)), "{error:?}");
    // A link of another user in a directory such as /tmp.
    let link = base.link("sticky/link", "../real");
    base.directory("real", 0o700);
    assert!(check(&link.join("tokens")).is_ok());
    std::os::unix::fs::lchown(&link, Some(OTHER_USER), None).expect("chown");
    let error = check(&link.join("tokens")).expect_err("refused");
    assert!(
        matches!(&error, DirectoryError::ParentWrongOwner(path) if *path == link),
        "{error:?}"
    );
    // The last directory itself.
    let tokens = base.directory("sticky/tokens", 0o700);
    chown(&tokens, Some(OTHER_USER), None).expect("chown");
    let error = check(&tokens).expect_err("refused");
    assert!(matches!(error, DirectoryError::WrongOwner), "{error:?}");
    assert_eq!(
        private_directory(&tokens, OTHER_USER).expect("safe for its owner"),
        tokens
    );
    assert!(check(&sticky.join("own")).is_ok());
}
