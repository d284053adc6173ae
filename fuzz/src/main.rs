//! Runs the targets without libFuzzer, on their seeds and on mutated seeds.
//!
//! `mutate <runs>` runs every target with that many mutated seeds; `mutate <target> <file>…` runs one target on files. The
//! first input that violates a property is written to `artifacts/`, and the command that repeats the run is printed.
#![warn(clippy::pedantic)]
#![expect(
    clippy::disallowed_methods,
    reason = "the seeds are files; the rules of the add-on's crate do not apply"
)]

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use managed_identity_native_fuzz::mutation::{Mutator, parse_dictionary};
use managed_identity_native_fuzz::{TARGETS, Target};

const USAGE: &str = "usage: mutate <runs>, or mutate <target> <file>...";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((first, files)) = arguments.split_first() else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let passes = if let Some(target) = TARGETS.iter().find(|target| target.name == first) {
        files.iter().all(|file| passes(target, &read(Path::new(file))))
    } else if let (Ok(runs), []) = (first.parse(), files) {
        TARGETS.iter().all(|target| run(target, runs))
    } else {
        eprintln!(
            "{USAGE}; the targets are {}",
            TARGETS.map(|target| target.name).join(", ")
        );
        false
    };
    if passes {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// Runs a target on its seeds and on this many mutated ones.
fn run(target: &Target, runs: usize) -> bool {
    let seeds = seeds(target);
    let dictionary =
        fs::read_to_string(crate_directory().join("dictionaries").join(target.name)).unwrap_or_default();
    let tokens = parse_dictionary(&dictionary);
    let mut mutator = Mutator::new(&seeds, &tokens);
    let mutated = std::iter::repeat_with(|| mutator.next_input()).take(runs);
    let is_ok = seeds
        .iter()
        .cloned()
        .chain(mutated)
        .all(|input| passes(target, &input));
    if is_ok {
        println!(
            "{}: no violation with {} seeds and {runs} mutated ones",
            target.name,
            seeds.len()
        );
    }
    is_ok
}

/// Returns whether the input violates no property; if it does, writes it to a file.
fn passes(target: &Target, input: &[u8]) -> bool {
    let is_ok = catch_unwind(|| (target.check)(input)).is_ok();
    if !is_ok {
        let name = format!("{}-{:016x}", target.name, fingerprint(input));
        let file = crate_directory().join("artifacts").join(name);
        let written =
            fs::create_dir_all(crate_directory().join("artifacts")).and_then(|()| fs::write(&file, input));
        eprintln!(
            "{}: a property is violated by {}",
            target.name,
            input.escape_ascii()
        );
        match written {
            Ok(()) => eprintln!("To repeat: scripts/fuzz {} {}", target.name, file.display()),
            Err(error) => eprintln!("{} cannot be written: {error}", file.display()),
        }
    }
    is_ok
}

/// Reads the seeds of a target, sorted by name so that the order is the same on every machine.
fn seeds(target: &Target) -> Vec<Vec<u8>> {
    let directory = crate_directory().join("seeds").join(target.name);
    let entries = fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}

fn read(file: &Path) -> Vec<u8> {
    fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn crate_directory() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the FNV-1a hash, which names an input.
fn fingerprint(input: &[u8]) -> u64 {
    input.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
