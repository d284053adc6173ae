// Installs what is measured: this package from its packed tarballs, as a user would, and each peer from node_modules,
// in a temporary directory with the programs.

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

/** The directories in which peers are searched. BENCH_PEERS may name further node_modules directories. */
const peerFolders = [
  join(root, "node_modules"),
  ...(process.env.BENCH_PEERS ?? "").split(delimiter).filter(Boolean),
];

/** Installs all contenders below `directory`; returns the directory, version and sizes of each. */
export async function install(directory) {
  const installed = { native: await installNative(join(directory, "native")) };
  for (const [contender, name] of Object.entries(PEERS)) {
    installed[contender] = await linkPeer(join(directory, contender), name);
  }
  return installed;
}

async function installNative(directory) {
  const { version, napi } = readJson(join(root, "package.json"));
  const platform = platformName();
  const addon = `${napi.binaryName}.${platform}.node`;
  const built = join(root, addon);
  if (!existsSync(built)) throw new Error(`${addon} does not exist: run "npm run build" first`);
  const skeleton = join(directory, "platform");
  cpSync(join(root, "npm", platform), skeleton, { recursive: true });
  cpSync(built, join(skeleton, addon));
  const tarballs = [await pack(root, directory), await pack(skeleton, directory)];
  const installation = await installInto(join(directory, "use"), ["--offline", ...tarballs]);
  return {
    ...installation,
    version,
    directory: withPrograms(join(directory, "use")),
    addonBytes: lstatSync(built).size,
  };
}

/** The measured peer is the one in the repository's node_modules; its size is that of a separate installation. */
async function linkPeer(directory, name) {
  const found = peerFolders.find((path) => existsSync(join(path, name, "package.json")));
  if (found === undefined) throw new Error(`${name} is not installed: run "npm ci", or set BENCH_PEERS`);
  const { version } = readJson(join(found, name, "package.json"));
  const installation = join(directory, "use");
  mkdirSync(installation, { recursive: true });
  symlinkSync(found, join(installation, "node_modules"), "junction");
  const size = await installInto(join(directory, "size"), ["--prefer-offline", `${name}@${version}`]).catch(
    (error) => ({
      notInstalled: `npm could not install it alone: ${String(error.message).split("\n")[0]}`,
    }),
  );
  return { ...size, version, directory: withPrograms(installation) };
}

async function pack(from, directory) {
  const options = ["pack", "--ignore-scripts", "--json", "--pack-destination", directory];
  const { stdout } = await output("npm", options, { cwd: from });
  // npm 12 and later print an object by package name, earlier versions an array.
  const [{ filename }] = Object.values(JSON.parse(stdout));
  return join(directory, filename);
}

/** Installs packages into an empty directory; returns their disk usage in bytes and their number. */
async function installInto(directory, specifiers) {
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "package.json"), '{ "private": true }\n');
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  await output("npm", ["install", ...quiet, ...specifiers], { cwd: directory });
  const modules = join(directory, "node_modules");
  const { packages } = readJson(join(modules, ".package-lock.json"));
  return { installedBytes: diskUse(modules), packages: Object.keys(packages).length };
}

/** Disk usage in bytes, as computed by `du -s`. */
function diskUse(path) {
  const { blocks, size } = lstatSync(path);
  const own = blocks === undefined ? size : blocks * 512;
  if (!lstatSync(path).isDirectory()) return own;
  return readdirSync(path).reduce((sum, name) => sum + diskUse(join(path, name)), own);
}

function withPrograms(directory) {
  cpSync(programs, join(directory, "programs"), { recursive: true });
  return directory;
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
