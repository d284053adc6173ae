// The eight platforms of package.json: the name of the add-on and of its package, the target that is checked and shipped,
// and how a program for it is run on this machine.

import * as emulation from "./arm64.mjs";
import * as chroot from "./musl-root.mjs";
import * as native from "./native.mjs";
import * as wine from "./wine.mjs";

/**
 * `glibc`: the oldest version that the add-on runs with, as in the release workflow. `target`: what clippy checks and the
 * release builds. `buildTarget`: what can be linked here in place of it. `runner` has `run(command, arguments, options)`
 * for a program of that platform; without one, its programs cannot run here. `isEmulated`: the processor is too slow for
 * the specs, which test timeouts, and for Rust tests without optimization, some of which would take half an hour.
 * `hasSpecs`: the specs run there. `specsPerRun`: how many of their files run at a time, because Wine's server may crash.
 * `hasInstallation`: package managers install the packages by name there.
 */
export const platforms = [
  {
    name: "linux-x64-gnu",
    target: "x86_64-unknown-linux-gnu",
    glibc: "2.17",
    runner: native,
    hasSpecs: true,
    hasInstallation: true,
  },
  {
    name: "linux-x64-musl",
    target: "x86_64-unknown-linux-musl",
    runner: chroot,
    hasSpecs: true,
    hasInstallation: true,
  },
  {
    name: "linux-arm64-gnu",
    target: "aarch64-unknown-linux-gnu",
    glibc: "2.17",
    runner: emulation,
    isEmulated: true,
  },
  { name: "linux-arm64-musl", target: "aarch64-unknown-linux-musl", runner: emulation, isEmulated: true },
  {
    name: "win32-x64-msvc",
    target: "x86_64-pc-windows-msvc",
    buildTarget: "x86_64-pc-windows-gnullvm",
    runner: wine,
    hasSpecs: true,
    specsPerRun: 6,
  },
  { name: "win32-arm64-msvc", target: "aarch64-pc-windows-msvc", buildTarget: "aarch64-pc-windows-gnullvm" },
  { name: "darwin-x64", target: "x86_64-apple-darwin" },
  { name: "darwin-arm64", target: "aarch64-apple-darwin" },
];
