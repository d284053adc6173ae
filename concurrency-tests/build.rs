//! Copies the add-on's sources, with shuttle's locks in place of the standard library's.
//!
//! The main change is that `std::sync` becomes `crate::sync`, which lib.rs defines. The binding, the native transport and
//! the sources' own tests are not copied; the test support module is.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads files and variables; the rules of the add-on's crate do not apply"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files and directories that are not copied: the binding, and files that need sockets, because shuttle's tokio has neither
/// `tokio::net` nor `tokio::io`. The tests use the transport and the files of [`TEST_SUPPORT`].
const EXCLUDED: [&str; 8] = [
    "binding",
    "http/connection.rs",
    "http/connection_pool.rs",
    "http/connector.rs",
    "http/native_transport.rs",
    "http/transport_error.rs",
    "http/wire_limit.rs",
    "platform/user.rs",
];
/// The test module that is copied.
const TEST_SUPPORT: &str = "test_support";
/// Texts of the sources and their replacements.
const REPLACEMENTS: [(&str, &str); 5] = [
    ("std::sync", "crate::sync"),
    // shuttle's channel lacks this constructor, which is equivalent to the other one.
    (
        "watch::Sender::new(Status::default())",
        "watch::channel(Status::default()).0",
    ),
    // The module of this function is not copied.
    ("super::user::effective_user_id()", "crate::effective_user_id()"),
    // The sources' own tests run in their own crate.
    ("#[cfg(test)]", "#[cfg(any())]"),
    ("#[cfg(all(test, unix))]", "#[cfg(any())]"),
];

fn main() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let copies = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it")).join("sources");
    println!("cargo:rerun-if-changed={}", sources.display());
    // Otherwise the copy of a removed source would remain.
    if copies.exists() {
        fs::remove_dir_all(&copies).expect("removable");
    }
    let mut copier = Copier::default();
    copier.copy(&sources, &copies, "");
    copier.assert_all_used();

    let root = fs::read_to_string(sources.join("lib.rs")).expect("readable");
    let lines: Vec<&str> = root.lines().collect();
    let modules = lines.windows(2).filter_map(|pair| {
        let name = declared_module(pair[1])?;
        let is_copied = if pair[0] == "#[cfg(test)]" {
            name == TEST_SUPPORT
        } else {
            !EXCLUDED.contains(&name)
        };
        is_copied.then(|| format!("pub(crate) mod {name};\n"))
    });
    let modules: String = modules.collect();
    fs::write(copies.join("modules.rs"), modules).expect("writable");
}

/// Returns the name of the module that a line declares.
fn declared_module(line: &str) -> Option<&str> {
    line.trim_start_matches("pub ")
        .strip_prefix("mod ")?
        .strip_suffix(';')
}

/// Copies the sources, and records the entries of [`EXCLUDED`] and [`REPLACEMENTS`] that match something.
#[derive(Default)]
struct Copier {
    excluded: BTreeSet<String>,
    replacements: BTreeSet<&'static str>,
}

impl Copier {
    /// Copies a directory. `directory` is its path below the sources: empty, or with a trailing slash.
    fn copy(&mut self, from: &Path, to: &Path, directory: &str) {
        fs::create_dir_all(to).expect("writable");
        for entry in fs::read_dir(from).expect("readable") {
            let entry = entry.expect("readable");
            let name = entry.file_name().into_string().expect("ASCII");
            let path = format!("{directory}{name}");
            if EXCLUDED.contains(&path.as_str()) {
                self.excluded.insert(path);
            } else if entry.path().is_dir() {
                self.copy(&entry.path(), &to.join(name), &format!("{path}/"));
            } else {
                let text = fs::read_to_string(entry.path()).expect("readable");
                let text = self.replace_texts(text);
                fs::write(to.join(name), without_excluded(&text, directory)).expect("writable");
            }
        }
    }

    fn replace_texts(&mut self, text: String) -> String {
        REPLACEMENTS.iter().fold(text, |text, (from, to)| {
            if text.contains(from) {
                self.replacements.insert(from);
            }
            text.replace(from, to)
        })
    }

    /// Fails the build if an entry of the two lists no longer matches the sources: the compiler does not see them.
    fn assert_all_used(&self) {
        for path in EXCLUDED {
            assert!(self.excluded.contains(path), "src/{path} does not exist");
        }
        for (from, _) in REPLACEMENTS {
            assert!(self.replacements.contains(from), "nothing in src contains {from}");
        }
    }
}

/// Removes the declarations of excluded modules, with their attributes, from the text of a file.
fn without_excluded(text: &str, directory: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        let is_excluded = declared_module(line)
            .is_some_and(|module| EXCLUDED.contains(&format!("{directory}{module}.rs").as_str()));
        if is_excluded {
            while lines.last().is_some_and(|before| before.starts_with("#[")) {
                lines.pop();
            }
        } else {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}
