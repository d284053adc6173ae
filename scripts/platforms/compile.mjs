// The steps that compile: clippy, the add-on, and the programs of the Rust tests.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { read, root, run, StepError, work } from "./process.mjs";
import {
  buildEnvironment,
  builtLibrary,
  testPrograms,
  WITH_TESTS,
  writeProgram,
  zigProgram,
} from "./toolchain.mjs";

/** Where the finished add-ons are. */
export const addonsFolder = join(work, "add-ons");

export function addonFile({ name }) {
  return join(addonsFolder, `managed-identity-native.${name}.node`);
}

/** Checks the library and its tests with clippy for the target that is shipped, warnings being errors. */
export function lint({ target }) {
  const env = buildEnvironment(WITH_TESTS);
  const options = ["clippy", "--lib", "--tests", "--locked", "--target", target, "--", "-D", "warnings"];
  if (target.endsWith("-msvc")) run("cargo", options, { env: { ...env, ...compilersForMsvc(target) } });
  else run("cargo-zigbuild", options, { env: { ...env, ...sdkFor(target) } });
  return "clippy";
}

/** Builds the add-on as the release does, or, for Windows, with a linker that runs on Linux. */
export function build(platform) {
  mkdirSync(addonsFolder, { recursive: true });
  return platform.buildTarget === undefined ? buildAsReleased(platform) : buildForWindows(platform);
}

function buildAsReleased(platform) {
  const { target, glibc } = platform;
  const triple = glibc === undefined ? target : `${target}.${glibc}`;
  run("npm", ["run", "build", "--", "--target", triple, "--cross-compile", "--output-dir", addonsFolder], {
    env: { ...buildEnvironment(), ...sdkFor(target) },
  });
  for (const file of ["binding.d.ts"]) {
    if (readFileSync(join(addonsFolder, file), "utf8") !== readFileSync(join(root, file), "utf8")) {
      throw new StepError(`the build made another ${file} than the repository has`);
    }
  }
  return glibc === undefined ? "linked" : checkGlibc(platform);
}

/** Throws if the add-on needs a symbol of a later glibc than the oldest that is supported. */
function checkGlibc(platform) {
  const symbols = read("readelf", ["--version-info", addonFile(platform)]).matchAll(/GLIBC_([0-9.]+)/g);
  const minor = (version) => Number(version.split(".")[1]);
  const newest = [...symbols].map(([, version]) => version).sort((a, b) => minor(b) - minor(a))[0];
  if (minor(newest) > minor(platform.glibc)) throw new StepError(`the add-on needs glibc ${newest}`);
  return `glibc ${newest}`;
}

function buildForWindows(platform) {
  const { buildTarget } = platform;
  run("npm", ["run", "build:js"]);
  run("cargo-zigbuild", ["zigbuild", "--release", "--lib", "--locked", ...windowsOptions(buildTarget)], {
    env: { ...buildEnvironment(), ...libraryOfNode(buildTarget), CARGO_PROFILE_RELEASE_LTO: "off" },
  });
  copyFileSync(builtLibrary(buildTarget, "managed_identity_native.dll"), addonFile(platform));
  return `as ${buildTarget}`;
}

/** The functions of Node.js are looked up when the add-on is loaded, since their real import library is not here. */
function windowsOptions(target) {
  return ["--features", "napi/dyn-symbols", "--target", target];
}

/** Compiles the unit tests and returns the path of their program. */
export function compileTests({ target, buildTarget, glibc, isEmulated }) {
  const optimization = isEmulated ? { CARGO_PROFILE_TEST_OPT_LEVEL: "1" } : {};
  // A panic names its line even so, and programs are linked faster.
  const env = {
    ...buildEnvironment(WITH_TESTS),
    CARGO_PROFILE_TEST_DEBUG: "line-tables-only",
    ...optimization,
  };
  const options = ["test", "--no-run", "--lib", "--locked"];
  if (buildTarget !== undefined) {
    const { text } = run("cargo-zigbuild", [...options, ...windowsOptions(buildTarget)], {
      env: { ...env, ...libraryOfNode(buildTarget) },
    });
    return testPrograms(text)[0];
  }
  const triple = glibc === undefined ? target : `${target}.${glibc}`;
  const { text } = run("cargo-zigbuild", [...options, "--target", triple], {
    // Node.js for musl, too, is linked dynamically.
    env: target.endsWith("-musl") ? { ...env, RUSTFLAGS: "-C target-feature=-crt-static" } : env,
  });
  return testPrograms(text)[0];
}

/** C and assembler for MSVC's targets: compiled by zig with mingw's headers, which is enough for a check. */
function compilersForMsvc(target) {
  const variable = target.replaceAll("-", "_");
  const zigTarget = `${target.split("-")[0]}-windows-gnu`;
  const compiler = writeProgram(
    `cc-${target}`,
    `#!/bin/bash
arguments=()
for argument in "$@"; do
  case "$argument" in --target=*) ;; *) arguments+=("$argument") ;; esac
done
exec "${zigProgram()}" cc -target ${zigTarget} "\${arguments[@]}"
`,
  );
  const archiver = writeProgram("zig-lib", `#!/bin/sh\nexec "${zigProgram()}" lib "$@"\n`);
  return { [`CC_${variable}`]: compiler, [`AR_${variable}`]: archiver };
}

/** An import library with the one symbol that napi's build script insists on. */
function libraryOfNode(target) {
  const folder = join(work, `libnode-${target}`);
  const library = join(folder, "libnode.dll");
  if (!existsSync(library)) {
    mkdirSync(folder, { recursive: true });
    const definition = join(folder, "node.def");
    writeFileSync(definition, "LIBRARY node.exe\nEXPORTS\nnapi_module_register\n");
    const machine = target.startsWith("aarch64") ? "arm64" : "i386:x86-64";
    run(zigProgram(), ["dlltool", "-m", machine, "-d", definition, "-l", library]);
    // zig's linker looks for this name.
    copyFileSync(library, join(folder, "libnode.a"));
  }
  return { LIBNODE_PATH: folder };
}

const FRAMEWORKS = ["Security", "CoreFoundation", "SystemConfiguration"];
const LIBRARIES = ["libiconv", "libcharset"];

/**
 * For macOS: a folder in the form of Apple's SDK, whose libraries say that they have no symbol. A library may leave
 * symbols undefined there, so the add-on links, which shows that all of its own code does.
 */
function sdkFor(target) {
  if (!target.endsWith("-apple-darwin")) return {};
  const folder = join(work, "macos-sdk");
  const stub = (path) =>
    `--- !tapi-tbd\ntbd-version: 4\ntargets: [ x86_64-macos, arm64-macos ]\ninstall-name: '${path}'\n...\n`;
  for (const name of FRAMEWORKS) {
    const path = `/System/Library/Frameworks/${name}.framework`;
    mkdirSync(join(folder, path), { recursive: true });
    writeFileSync(join(folder, path, `${name}.tbd`), stub(`${path}/Versions/A/${name}`));
  }
  mkdirSync(join(folder, "usr", "lib"), { recursive: true });
  for (const name of LIBRARIES)
    writeFileSync(join(folder, "usr", "lib", `${name}.tbd`), stub(`/usr/lib/${name}.2.dylib`));
  // zig's linker looks for the folders of libraries, which it is given with their whole path, below the SDK.
  const below = join(folder, folder);
  mkdirSync(dirname(below), { recursive: true });
  rmSync(below, { force: true });
  symlinkSync(folder, below);
  // To strip an add-on of macOS, rustc needs a program that Debian's package of it does not have.
  const profile = { CARGO_PROFILE_RELEASE_STRIP: "none" };
  return { SDKROOT: folder, MACOSX_DEPLOYMENT_TARGET: "11.0", ...profile };
}
