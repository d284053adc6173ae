// How to start a program by name so that no shell interprets its arguments. On Windows many programs (az, npm) are
// scripts, which only cmd.exe can start; every character that cmd.exe interprets is escaped.

import { lstatSync } from "node:fs";
import { win32 } from "node:path";

/** The characters that cmd.exe interprets; a caret before one makes it literal. */
const CMD_METACHARACTERS = /[()%!^"<>&|]/g;
/** In the name of the program those at which cmd.exe ends a name, too. */
const CMD_NAME_METACHARACTERS = /[()%!^"<>&|\s,;=]/g;
const EXECUTABLE = /\.(exe|com)$/i;
const SCRIPT = /\.(cmd|bat)$/i;
/** The start of PATHEXT's value on Windows. */
const DEFAULT_EXTENSIONS = ".COM;.EXE;.BAT;.CMD";

/** The arguments of `child_process.spawn`. */
export interface SpawnArguments {
  readonly file: string;
  readonly args: readonly string[];
  readonly options: { readonly windowsVerbatimArguments?: boolean };
}

/**
 * Returns the file, arguments and options with which `child_process.spawn` starts the program `name`. Without such a
 * program the spawn fails with `ENOENT`; commands of cmd.exe itself (dir, echo) are not programs. `isFile` is for tests.
 */
export function spawnArguments(
  name: string,
  args: readonly string[],
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
  isFile: (path: string) => boolean = isExistingFile,
): SpawnArguments {
  const program = platform === "win32" ? findProgram(name, env, isFile) : undefined;
  if (program === undefined) return { file: name, args, options: {} };
  if (EXECUTABLE.test(program)) return { file: program, args, options: {} };
  // In a script cmd.exe interprets the arguments again, where the script passes them on (`%*`).
  const escapeArgument = SCRIPT.test(program)
    ? (text: string) => escapeForCmd(escapeForCmd(text))
    : escapeForCmd;
  const quoted = args.map((argument) => escapeArgument(quote(argument)));
  const line = [program.replace(CMD_NAME_METACHARACTERS, "^$&"), ...quoted].join(" ");
  return {
    file: readVariable(env, "comspec") ?? "cmd.exe",
    args: ["/d", "/s", "/c", `"${line}"`],
    options: { windowsVerbatimArguments: true },
  };
}

/** Finds a program as cmd.exe does: in the current directory, then in those of PATH; with each extension of PATHEXT. */
function findProgram(
  name: string,
  env: NodeJS.ProcessEnv,
  isFile: (path: string) => boolean,
): string | undefined {
  const extensions = (readVariable(env, "pathext") || DEFAULT_EXTENSIONS).split(";").filter(Boolean);
  const hasExtension = extensions.some((each) => name.toLowerCase().endsWith(each.toLowerCase()));
  const names = [...(hasExtension ? [name] : []), ...extensions.map((each) => name + each)];
  const isPath = /[\\/:]/.test(name);
  const current = readVariable(env, "nodefaultcurrentdirectoryinexepath") === undefined ? ["."] : [];
  const path = (readVariable(env, "path") ?? "").split(";").map((each) => each.replaceAll('"', ""));
  const directories = isPath ? [""] : [...current, ...path.filter((each) => each !== "")];
  for (const directory of directories) {
    const found = names.map((each) => win32.join(directory, each)).find(isFile);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** A link counts, since links to programs of the Microsoft Store cannot be followed. */
function isExistingFile(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === false;
  } catch {
    return false;
  }
}

/** Reads an environment variable by its name in any case of letters, as Windows does. */
function readVariable(env: NodeJS.ProcessEnv, lowerCaseName: string): string | undefined {
  const name = Object.keys(env).find((each) => each.toLowerCase() === lowerCaseName);
  return name === undefined ? undefined : env[name];
}

function escapeForCmd(text: string): string {
  return text.replace(CMD_METACHARACTERS, "^$&");
}

/**
 * Quotes an argument by the rules with which Windows programs split their command line: a quote inside is escaped with
 * a backslash, and backslashes are doubled before a quote.
 */
function quote(argument: string): string {
  if (argument !== "" && !/[\s"]/.test(argument)) return argument;
  return `"${argument.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, "$&$&")}"`;
}
