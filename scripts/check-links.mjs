// Checks the relative links and anchors of all committed Markdown files, and the pages that other files mention.
// Uses no network: external links are not checked. Prints each broken link with its line, and then fails.

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

const LINK = /!?\[(?:[^[\]]|\[[^\]]*\])*\]\(\s*<?([^)\s>]+)>?[^)]*\)/g;
const DEFINITION = /^ {0,3}\[[^\]]+\]:\s*<?([^\s>]+)/g;
const HTML_LINK = /\b(?:href|src)="([^"]+)"/g;
const EXTERNAL = /^([a-z][a-z0-9+.-]*:|\/\/)/i;
const FENCE = /^\s*(```|~~~)/;
const CODE_SPAN = /`[^`]*`/g;
const HEADING = /^#{1,6}\s+(.*?)\s*#*$/;
const HTML_ANCHOR = /\b(?:id|name)="([^"]+)"/g;
/** Pages that comments and messages mention, such as docs/errors.md. */
const MENTION = /\bdocs\/[\w./-]*\.md\b/g;
const MENTIONING = /\.(c|[cm]?[jt]s|rs|sh|toml|ya?ml)$/;

const files = committedFiles();
const folders = new Set([".", ...[...files].flatMap(parentsOf)]);
const anchors = new Map();

const broken = [...files].flatMap((file) => {
  if (file.endsWith(".md")) return brokenLinks(file);
  return MENTIONING.test(file) ? missingPages(file) : [];
});
for (const line of broken) console.error(line);
if (broken.length > 0) process.exitCode = 1;

function committedFiles() {
  const { status, stdout, stderr } = spawnSync("git", ["ls-files", "-z"], { cwd: root, encoding: "utf8" });
  if (status !== 0) throw new Error(`git ls-files failed: ${stderr}`);
  return new Set(stdout.split("\0").filter((name) => name !== ""));
}

function parentsOf(file) {
  const parent = posix.dirname(file);
  return parent === "." ? [] : [parent, ...parentsOf(parent)];
}

function read(file) {
  return readFileSync(new URL(`../${file}`, import.meta.url), "utf8");
}

function brokenLinks(file) {
  return proseLines(read(file)).flatMap(({ text, number }) => {
    const prose = text.replace(CODE_SPAN, (code) => code.replaceAll(/[[\]()]/g, " "));
    const links = [LINK, DEFINITION, HTML_LINK].flatMap((pattern) => [...prose.matchAll(pattern)]);
    return links
      .map(([, target]) => ({ target, reason: reasonAgainst(file, target) }))
      .filter(({ reason }) => reason !== undefined)
      .map(({ target, reason }) => `${file}:${number}: ${target}: ${reason}`);
  });
}

/** Why a link of a file is broken, or undefined. */
function reasonAgainst(file, target) {
  if (EXTERNAL.test(target)) return undefined;
  const [path, anchor] = decodeURIComponent(target).split("#", 2);
  const linked =
    path === "" ? file : posix.normalize(posix.join(posix.dirname(file), path)).replace(/\/$/, "");
  if (!files.has(linked)) {
    return folders.has(linked) && anchor === undefined ? undefined : "this file is not in the repository";
  }
  if (anchor === undefined || !linked.endsWith(".md")) return undefined;
  return anchorsOf(linked).has(anchor) ? undefined : `${linked} does not have this heading`;
}

/** The anchors of a page: those that GitHub makes of its headings, and those in HTML. */
function anchorsOf(file) {
  if (!anchors.has(file)) {
    const found = new Set();
    for (const { text } of proseLines(read(file))) {
      const heading = HEADING.exec(text);
      if (heading !== null) found.add(unused(found, slug(heading[1])));
      for (const [, anchor] of text.matchAll(HTML_ANCHOR)) found.add(anchor);
    }
    anchors.set(file, found);
  }
  return anchors.get(file);
}

/** GitHub's anchor of a heading: its text in lower case without punctuation, with hyphens for blanks. */
function slug(heading) {
  const text = heading.replaceAll(/!?\[([^\]]*)\]\([^)]*\)/g, "$1");
  return text
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, "")
    .replaceAll(" ", "-");
}

/** GitHub numbers the later ones of several equal headings. */
function unused(found, anchor) {
  if (!found.has(anchor)) return anchor;
  let number = 1;
  while (found.has(`${anchor}-${number}`)) number += 1;
  return `${anchor}-${number}`;
}

/** The lines outside code blocks. Lines with an unfinished link are joined, because links are found by line. */
function proseLines(page) {
  const lines = [];
  let fence;
  for (const [index, text] of page.split("\n").entries()) {
    const mark = FENCE.exec(text)?.[1];
    if (fence === undefined && mark !== undefined) fence = mark;
    else if (fence !== undefined && mark === fence) fence = undefined;
    else if (fence === undefined) {
      const previous = lines.at(-1);
      if (previous !== undefined && isOpen(previous.text)) previous.text += ` ${text.trim()}`;
      else lines.push({ text, number: index + 1 });
    }
  }
  return lines;
}

/** Whether a line ends inside the text or the target of a link. */
function isOpen(text) {
  const prose = text.replace(CODE_SPAN, "");
  return prose.lastIndexOf("[") > prose.lastIndexOf("]") || /\]\([^)]*$/.test(prose);
}

function missingPages(file) {
  return read(file)
    .split("\n")
    .flatMap((line, index) =>
      [...line.matchAll(MENTION)]
        .filter(([page]) => !files.has(page))
        .map(([page]) => `${file}:${index + 1}: ${page}: this file is not in the repository`),
    );
}
