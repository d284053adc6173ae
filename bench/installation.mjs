// What is measured is what a user gets: this package packed and installed from its tarballs, and each peer as it
// lies in node_modules, all in a temporary folder with the programs beside them.

import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { output } from "./processes.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const programs = fileURLToPath(new URL("programs", import.meta.url));

const PEERS = { msal: "@azure/msal-node", identity: "@azure/identity" };

/** Where peers are looked for: BENCH_PEERS may name further node_modules folders. */
const peerFolders = [
  join(root, "node_modules"),
  ...(process.env.BENCH_PEERS ?? "").split(delimiter).filter(Boolean),
];

/** Installs everything below `folder`; gives a folder, a version and sizes for each. */
export async function install(folder) {
  const installed = { native: await installNative(join(folder, "native")) };
  for (const [contender, name] of Object.entries(PEERS)) {
    installed[contender] = await linkPeer(join(folder, contender), name);
  }
  return installed;
}

async function installNative(folder) {
  const { version, napi } = readJson(join(root, "package.json"));
  const platform = platformName();
  const addon = `${napi.binaryName}.${platform}.node`;
  const built = join(root, addon);
  if (!existsSync(built)) throw new Error(`${addon} is not there: run "npm run build" first`);
  const skeleton = join(folder, "platform");
  cpSync(join(root, "npm", platform), skeleton, { recursive: true });
  cpSync(built, join(skeleton, addon));
  const tarballs = [await pack(root, folder), await pack(skeleton, folder)];
  const use = await fresh(join(folder, "use"), ["--offline", ...tarballs]);
  return { ...use, version, folder: withPrograms(join(folder, "use")), addonBytes: lstatSync(built).size };
}

/** The peer that is measured lies in the repository's node_modules; its size is that of an installation alone. */
async function linkPeer(folder, name) {
  const found = peerFolders.find((path) => existsSync(join(path, name, "package.json")));
  if (found === undefined) throw new Error(`${name} is not installed: run "npm ci", or set BENCH_PEERS`);
  const { version } = readJson(join(found, name, "package.json"));
  const use = join(folder, "use");
  mkdirSync(use, { recursive: true });
  symlinkSync(found, join(use, "node_modules"), "junction");
  const size = await fresh(join(folder, "size"), ["--prefer-offline", `${name}@${version}`]).catch(
    (error) => ({
      notInstalled: `npm could not install it alone: ${String(error.message).split("\n")[0]}`,
    }),
  );
  return { ...size, version, folder: withPrograms(use) };
}

async function pack(from, folder) {
  const options = ["pack", "--ignore-scripts", "--json", "--pack-destination", folder];
  const { stdout } = await output("npm", options, { cwd: from });
  // An object by name from npm 12 on, a list before.
  const [{ filename }] = Object.values(JSON.parse(stdout));
  return join(folder, filename);
}

/** An installation in an empty folder: the bytes it takes on the disk, and the number of its packages. */
async function fresh(folder, what) {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }\n');
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  await output("npm", ["install", ...quiet, ...what], { cwd: folder });
  const modules = join(folder, "node_modules");
  const { packages } = readJson(join(modules, ".package-lock.json"));
  return { installedBytes: diskUse(modules), packages: Object.keys(packages).length };
}

/** What `du -s` says. */
function diskUse(path) {
  const { blocks, size } = lstatSync(path);
  const own = blocks === undefined ? size : blocks * 512;
  if (!lstatSync(path).isDirectory()) return own;
  return readdirSync(path).reduce((sum, name) => sum + diskUse(join(path, name)), own);
}

function withPrograms(folder) {
  cpSync(programs, join(folder, "programs"), { recursive: true });
  return folder;
}

function platformName() {
  const { platform, arch } = process;
  if (platform === "win32") return `win32-${arch}-msvc`;
  if (platform !== "linux") return `${platform}-${arch}`;
  const glibc = process.report.getReport().header.glibcVersionRuntime;
  return `linux-${arch}-${glibc === undefined ? "musl" : "gnu"}`;
}

function readJson(path) {
  return JSON.parse(readFileSync(path, "utf8"));
}
