// The snippets of README and docs/ are self-contained and pass type checking. For a diff, that applies to both sides.
// The snippets of some pages also run with the emulator.

import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import test from "ava";
import { run } from "./support/command-line.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const manifest = createRequire(import.meta.url).resolve("typescript/package.json");
const tsc = join(dirname(manifest), "bin", "tsc");

const SNIPPET = /^```(js|ts|diff)\n(.*?)^```$/gms;
const OPTIONS = {
  target: "es2022",
  lib: ["es2022", "esnext.disposable"],
  module: "nodenext",
  types: ["node"],
  allowJs: true,
  checkJs: true,
  strict: true,
  noImplicitAny: false,
  skipLibCheck: true,
  noEmit: true,
};
/** The pages whose snippets also run. */
const RUN = [
  "README.md",
  "docs/aks.md",
  "docs/api.md",
  "docs/azure-arc.md",
  "docs/azure-sdk.md",
  "docs/configuration.md",
  "docs/errors.md",
  "docs/identity-and-role.md",
];

/** The snippets of a page as `{ name, text }`, named by the lines on which they begin. */
function snippetsOf(page) {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(SNIPPET)].flatMap(({ 1: language, 2: code, index }) => {
    const name = `${page.replaceAll(/\W/g, "-")}-line-${text.slice(0, index).split("\n").length}`;
    if (language === "diff") return [side(name, "before", "-", code), side(name, "after", "+", code)];
    const isCommonJs = language === "js" && code.includes("require(");
    return { name: `${name}.${isCommonJs ? "c" : "m"}${language}`, text: code };
  });
}

/** One side of a diff: the lines that begin with `sign` or a space. */
function side(name, which, sign, code) {
  const lines = code.split("\n").filter((line) => line.startsWith(sign) || line.startsWith(" "));
  return { name: `${name}-${which}.mjs`, text: lines.map((line) => line.slice(1)).join("\n") };
}

/** A directory inside the package, so that the package can be imported by name, which git ignores. */
function createDirectory(t) {
  mkdirSync(join(root, "target"), { recursive: true });
  const directory = mkdtempSync(join(root, "target", "snippets-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("each snippet is self-contained and passes type checking", (t) => {
  const directory = createDirectory(t);
  const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)];
  const snippets = pages.flatMap(snippetsOf);
  t.true(snippets.length >= 20, String(snippets.length));
  for (const { name, text } of snippets) {
    writeFileSync(join(directory, name), /\.m\ws$/.test(name) ? `${text}\nexport {};\n` : text);
  }
  writeFileSync(
    join(directory, "tsconfig.json"),
    JSON.stringify({ compilerOptions: OPTIONS, include: ["*"] }),
  );
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, "--project", directory], {
    encoding: "utf8",
  });
  t.is(status, 0, `${stdout}${stderr}`);
});

for (const { name, text } of RUN.flatMap(snippetsOf)) {
  test(`${name} runs with the emulator`, async (t) => {
    // These snippets contain no type annotations.
    const file = join(createDirectory(t), name.replace(".mts", ".mjs"));
    writeFileSync(file, text);
    const { code, stderr } = await run(t, ["emulator", "--", process.execPath, file]);
    t.deepEqual([code, stderr], [0, ""]);
  });
}
