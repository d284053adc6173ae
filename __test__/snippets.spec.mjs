// Every snippet of README and docs/ stands by itself: what it uses it imports or declares, and the types agree. Of a
// diff that holds for both sides. Those of some pages run too, with the emulator as README starts it.

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
/** The pages whose snippets run, too. */
const RUN = ["README.md", "docs/api.md", "docs/azure-sdk.md", "docs/configuration.md", "docs/errors.md"];
/** Packages that a snippet may use and that are not installed here. */
const ABSENT = ["vitest"];

/** The snippets of a page: `{ name, text }`, by the line on which each begins. */
function snippetsOf(page) {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(SNIPPET)].flatMap(({ 1: language, 2: code, index }) => {
    const name = `${page.replaceAll(/\W/g, "-")}-line-${text.slice(0, index).split("\n").length}`;
    if (language === "diff") return [side(name, "before", "-", code), side(name, "after", "+", code)];
    const isCommonJs = language === "js" && code.includes("require(");
    return { name: `${name}.${isCommonJs ? "c" : "m"}${language}`, text: code };
  });
}

/** One of the two sides of a diff, whose lines begin with `sign` or a blank. */
function side(name, which, sign, code) {
  const lines = code.split("\n").filter((line) => line.startsWith(sign) || line.startsWith(" "));
  return { name: `${name}-${which}.mjs`, text: lines.map((line) => line.slice(1)).join("\n") };
}

/** A folder inside of the package, so that this is found by its name, where git does not look. */
function folderFor(t) {
  mkdirSync(join(root, "target"), { recursive: true });
  const folder = mkdtempSync(join(root, "target", "snippets-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

test("each snippet can be copied as it stands", (t) => {
  const folder = folderFor(t);
  const pages = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)];
  const snippets = pages.flatMap(snippetsOf);
  t.true(snippets.length >= 20, String(snippets.length));
  for (const { name, text } of snippets) {
    writeFileSync(join(folder, name), /\.m\ws$/.test(name) ? `${text}\nexport {};\n` : text);
  }
  writeFileSync(join(folder, "absent.d.ts"), ABSENT.map((name) => `declare module "${name}";\n`).join(""));
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: OPTIONS, include: ["*"] }));
  const { status, stdout, stderr } = spawnSync(process.execPath, [tsc, "--project", folder], {
    encoding: "utf8",
  });
  t.is(status, 0, `${stdout}${stderr}`);
});

for (const { name, text } of RUN.flatMap(snippetsOf)) {
  test(`${name} runs with the emulator`, async (t) => {
    // None of them has types in it.
    const file = join(folderFor(t), name.replace(".mts", ".mjs"));
    writeFileSync(file, text);
    const { code, stderr } = await run(t, ["emulator", "--", process.execPath, file]);
    t.deepEqual([code, stderr], [0, ""]);
  });
}
