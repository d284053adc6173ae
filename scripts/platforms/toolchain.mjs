// Rust and zig for every target. Debian's Rust comes with the sources of the standard library and of the crates that it
// uses, from which cargo builds it for any target; zig is the C compiler and the linker, as in the release workflow.

import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { unpackPackages } from "./debian.mjs";
import { read, root, run, StepError, work } from "./process.mjs";

const RUST_PACKAGES = ["rustc-web", "cargo-web", "rust-web-clippy", "rust-web-src"];
const programs = join(work, "bin");
const buildFolder = join(work, "build");

/** The environment in which cargo builds for a target. `crates` are those of the standard library. */
export function buildEnvironment(crates = ["std", "panic_abort"]) {
  const rust = installRust();
  const zig = installZig();
  const { RUSTUP_TOOLCHAIN: _, ...inherited } = process.env;
  return {
    ...inherited,
    PATH: [programs, join(rust, "usr", "bin"), zig, process.env.PATH].join(delimiter),
    LD_LIBRARY_PATH: join(work, "rust-libraries"),
    // Lets a stable compiler build its standard library.
    RUSTC_BOOTSTRAP: "1",
    CARGO_UNSTABLE_BUILD_STD: crates.join(","),
    CARGO_HOME: join(work, "cargo"),
    CARGO_TARGET_DIR: buildFolder,
    CARGO_TERM_COLOR: "never",
    CARGO_TERM_PROGRESS_WHEN: "never",
  };
}

/** For a build whose tests are run, and for clippy, which checks them. */
export const WITH_TESTS = ["std", "panic_abort", "test"];

/** Returns the paths of the test programs that `cargo test --no-run` reported. */
export function testPrograms(text) {
  return [...text.matchAll(/Executable .*\((.+)\)/g)].map(([, path]) =>
    path.startsWith("/") ? path : join(root, path),
  );
}

export function builtLibrary(target, file) {
  return join(buildFolder, target, "release", file);
}

function installRust() {
  const folder = unpackPackages("rust", RUST_PACKAGES);
  linkMissingLibraries(folder);
  return folder;
}

/** Only libraries that the machine lacks: all programs that cargo starts would use others too. */
function linkMissingLibraries(folder) {
  const libraries = join(work, "rust-libraries");
  mkdirSync(libraries, { recursive: true });
  const installed = [join(folder, "usr", "lib", "x86_64-linux-gnu"), join(folder, "lib", "x86_64-linux-gnu")];
  const env = { ...process.env, LD_LIBRARY_PATH: libraries };
  for (const program of ["rustc", "cargo", "clippy-driver"]) {
    for (;;) {
      const text = read("ldd", [join(folder, "usr", "bin", program)], { env });
      const missing = [...text.matchAll(/(\S+) => not found/g)].map(([, name]) => name);
      if (missing.length === 0) break;
      for (const name of missing) {
        const place = installed.find((each) => existsSync(join(each, name)));
        if (place === undefined) throw new StepError(`${program} needs ${name}, which no package has`);
        symlinkSync(join(place, name), join(libraries, name));
      }
    }
  }
}

/** Returns the folder of programs of a virtual environment of Python, with zig and pip. */
export function installZig() {
  const folder = join(work, "zig");
  const requirements = join(root, ".github", "cross", "requirements.txt");
  const stamp = join(folder, "requirements.txt");
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== readFileSync(requirements, "utf8")) {
    run("python3", ["-m", "venv", "--clear", folder]);
    run(join(folder, "bin", "pip"), [
      ...["install", "--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:"],
      ...["--requirement", requirements],
    ]);
    writeFileSync(stamp, readFileSync(requirements));
  }
  return join(folder, "bin");
}

/** Where zig's own command is; the package has no program of that name. */
export function zigProgram() {
  const library = join(work, "zig", "lib");
  const python = readdirSync(library).find((name) => name.startsWith("python"));
  return join(library, python, "site-packages", "ziglang", "zig");
}

/** Writes a small program that cargo's build scripts start. */
export function writeProgram(name, text) {
  mkdirSync(programs, { recursive: true });
  const file = join(programs, name);
  writeFileSync(file, text);
  chmodSync(file, 0o755);
  return file;
}
