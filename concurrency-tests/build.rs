//! Copies the add-on's sources, with shuttle's locks in place of the standard library's.
//!
//! Hardly a word of them is changed: `std::sync` becomes `crate::sync`, which stands in lib.rs. The binding and the
//! native transport stay out, and so do the sources' own tests; the stand-ins that these use come along.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads files and its variables; the crate's rules are not its own"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Files and folders that are not copied: the binding, and what needs sockets, since shuttle's tokio has neither
/// `tokio::net` nor `tokio::io`. The tests use the transport and the files of [`STAND_INS`].
const LEFT_OUT: [&str; 8] = [
    "binding",
    "http/connection.rs",
    "http/connection_pool.rs",
    "http/connector.rs",
    "http/native_transport.rs",
    "http/transport_error.rs",
    "http/wire_limit.rs",
    "platform/user.rs",
];
/// The modules of the tests that come along.
const STAND_INS: &str = "test_support";
const CHANGES: [(&str, &str); 5] = [
    ("std::sync", "crate::sync"),
    // shuttle's channel does not have this constructor, which is short for the other.
    (
        "watch::Sender::new(Status::default())",
        "watch::channel(Status::default()).0",
    ),
    // Its module is left out.
    ("super::user::effective_user_id()", "crate::effective_user_id()"),
    // The sources' own tests are run where they stand.
    ("#[cfg(test)]", "#[cfg(any())]"),
    ("#[cfg(all(test, unix))]", "#[cfg(any())]"),
];

fn main() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let copies = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it")).join("sources");
    println!("cargo:rerun-if-changed={}", sources.display());
    // The copy of a source that was removed would otherwise remain beside the copy of its replacement.
    if copies.exists() {
        fs::remove_dir_all(&copies).expect("removable");
    }
    let mut copying = Copying::default();
    copying.copy(&sources, &copies, "");
    copying.assert_all_used();

    let map = fs::read_to_string(sources.join("lib.rs")).expect("readable");
    let lines: Vec<&str> = map.lines().collect();
    let modules = lines.windows(2).filter_map(|pair| {
        let name = module(pair[1])?;
        let is_copied = if pair[0] == "#[cfg(test)]" {
            name == STAND_INS
        } else {
            !LEFT_OUT.contains(&name)
        };
        is_copied.then(|| format!("pub(crate) mod {name};\n"))
    });
    let modules: String = modules.collect();
    fs::write(copies.join("modules.rs"), modules).expect("writable");
}

/// The module that a line declares.
fn module(line: &str) -> Option<&str> {
    line.trim_start_matches("pub ")
        .strip_prefix("mod ")?
        .strip_suffix(';')
}

/// The entries of [`LEFT_OUT`] and [`CHANGES`] that match something in the sources.
#[derive(Default)]
struct Copying {
    left_out: BTreeSet<String>,
    changes: BTreeSet<&'static str>,
}

impl Copying {
    /// Copies a folder whose path below the sources is `folder`: empty, or with a slash at its end.
    fn copy(&mut self, from: &Path, to: &Path, folder: &str) {
        fs::create_dir_all(to).expect("writable");
        for entry in fs::read_dir(from).expect("readable") {
            let entry = entry.expect("readable");
            let name = entry.file_name().into_string().expect("ASCII");
            let path = format!("{folder}{name}");
            if LEFT_OUT.contains(&path.as_str()) {
                self.left_out.insert(path);
            } else if entry.path().is_dir() {
                self.copy(&entry.path(), &to.join(name), &format!("{path}/"));
            } else {
                let text = fs::read_to_string(entry.path()).expect("readable");
                let text = self.change(text);
                fs::write(to.join(name), without_left_out(&text, folder)).expect("writable");
            }
        }
    }

    fn change(&mut self, text: String) -> String {
        CHANGES.iter().fold(text, |text, (from, to)| {
            if text.contains(from) {
                self.changes.insert(from);
            }
            text.replace(from, to)
        })
    }

    /// Fails the build if an entry of the two lists no longer matches the sources: the compiler does not see them.
    fn assert_all_used(&self) {
        for path in LEFT_OUT {
            assert!(self.left_out.contains(path), "src/{path} does not exist");
        }
        for (from, _) in CHANGES {
            assert!(self.changes.contains(from), "nothing in src contains {from}");
        }
    }
}

/// The text of a file without the modules of its folder that are not copied, and without their attributes.
fn without_left_out(text: &str, folder: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        let is_left_out =
            module(line).is_some_and(|module| LEFT_OUT.contains(&format!("{folder}{module}.rs").as_str()));
        if is_left_out {
            while lines.last().is_some_and(|before| before.starts_with("#[")) {
                lines.pop();
            }
        } else {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}
