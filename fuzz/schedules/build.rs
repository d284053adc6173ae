//! Copies the add-on's sources, with shuttle's locks in place of the standard library's.
//!
//! Hardly a word of them is changed: `std::sync` becomes `crate::sync`, which stands in lib.rs. The Node
//! room stays out, and so do the sources' own tests; the stand-ins that these use come along.
#![expect(
    clippy::disallowed_methods,
    reason = "a build script reads files and its variables; the crate's rules are not its own"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// The room that stays out.
const NODE: &str = "binding";
/// The room of the tests that comes along.
const STAND_INS: &str = "fakes";
const CHANGES: [(&str, &str); 10] = [
    ("std::sync", "crate::sync"),
    // shuttle's channel does not have this constructor, which is short for the other.
    (
        "watch::Sender::new(Known::default())",
        "watch::channel(Known::default()).0",
    ),
    // The native transport opens sockets, which shuttle does not have; a stand-in takes its place.
    ("mod connection;\n", ""),
    ("mod connection_pool;\n", ""),
    ("mod connector;\n", ""),
    ("pub mod native_transport;\n", ""),
    ("mod transport_error;\n", ""),
    ("mod wire_limit;\n", ""),
    // The sources' own tests are run where they stand.
    ("#[cfg(test)]", "#[cfg(any())]"),
    ("#[cfg(all(test, unix))]", "#[cfg(any())]"),
];

fn main() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../src");
    let copies = PathBuf::from(std::env::var("OUT_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-changed={}", sources.display());
    copy(&sources, &copies);

    let map = fs::read_to_string(sources.join("lib.rs")).expect("readable");
    let lines: Vec<&str> = map.lines().collect();
    let rooms = lines.windows(2).filter_map(|pair| {
        let room = pair[1]
            .trim_start_matches("pub ")
            .strip_prefix("mod ")?
            .strip_suffix(';')?;
        let taken = if pair[0] == "#[cfg(test)]" {
            room == STAND_INS
        } else {
            room != NODE
        };
        taken.then(|| format!("pub(crate) mod {room};\n"))
    });
    let rooms: String = rooms.collect();
    fs::write(copies.join("house.rs"), rooms).expect("writable");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("writable");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let copy_of = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &copy_of);
        } else {
            let text = fs::read_to_string(entry.path()).expect("readable");
            let text = CHANGES
                .iter()
                .fold(text, |text, (from, to)| text.replace(from, to));
            fs::write(copy_of, text).expect("writable");
        }
    }
}
