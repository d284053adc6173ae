//! Runs the targets without libFuzzer: over their seeds, and over as many changed ones as are asked for.
//!
//! `mutate <runs>` runs every target, `mutate <target> <file>…` one target over files. The first input
//! for which a property does not hold is written to `artifacts/`, and the command that repeats it is told.
#![warn(clippy::pedantic)]
#![expect(
    clippy::disallowed_methods,
    reason = "the seeds are files; the crate's rules are not this program's"
)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use managed_identity_native_fuzz::mutation::{Mutation, words};
use managed_identity_native_fuzz::{TARGETS, Target};

const USAGE: &str = "usage: mutate <runs>, or mutate <target> <file>...";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((first, files)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let holds = if let Some(target) = TARGETS.iter().find(|target| target.name == first) {
        files.iter().all(|file| holds(target, &read(Path::new(file))))
    } else if let (Ok(runs), []) = (first.parse(), files) {
        TARGETS.iter().all(|target| run(target, runs))
    } else {
        eprintln!(
            "{USAGE}; the targets are {}",
            TARGETS.map(|target| target.name).join(", ")
        );
        false
    };
    if holds {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// A target over its seeds, and over so many changed ones.
fn run(target: &Target, runs: usize) -> bool {
    let seeds = seeds(target);
    let dictionary = fs::read_to_string(folder().join("dictionaries").join(target.name)).unwrap_or_default();
    let words = words(&dictionary);
    let mut mutation = Mutation::new(&seeds, &words);
    let changed = std::iter::repeat_with(|| mutation.draw()).take(runs);
    let held = seeds
        .iter()
        .cloned()
        .chain(changed)
        .all(|input| holds(target, &input));
    if held {
        println!(
            "{}: {} seeds and {runs} changed ones hold",
            target.name,
            seeds.len()
        );
    }
    held
}

fn holds(target: &Target, input: &[u8]) -> bool {
    let held = catch_unwind(|| (target.check)(input)).is_ok();
    if !held {
        let name = format!("{}-{:016x}", target.name, fingerprint(input));
        let file = folder().join("artifacts").join(name);
        let written = fs::create_dir_all(folder().join("artifacts")).and_then(|()| fs::write(&file, input));
        eprintln!("{}: does not hold for {}", target.name, input.escape_ascii());
        match written {
            Ok(()) => eprintln!("once more: scripts/fuzz {} {}", target.name, file.display()),
            Err(error) => eprintln!("{} cannot be written: {error}", file.display()),
        }
    }
    held
}

/// In the order of their names, which is the same everywhere.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let folder = folder().join("seeds").join(target.name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// FNV-1a: a name for an input.
fn fingerprint(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
