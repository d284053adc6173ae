// How to start a program by name so that no shell interprets its arguments. On Windows many programs (az, npm) are
// scripts, which only cmd.exe can start; every character that cmd.exe interprets is escaped.

/** The characters that cmd.exe interprets; a caret before one makes it literal. */
const CMD_METACHARACTERS = /[()%!^"<>&|]/g;

/** The arguments of `child_process.spawn`. */
export interface SpawnArguments {
  readonly file: string;
  readonly args: readonly string[];
  readonly options: { readonly windowsVerbatimArguments?: boolean };
}

/** Returns the file, arguments and options with which `child_process.spawn` starts the program `name`. */
export function spawnArguments(
  name: string,
  args: readonly string[],
  platform: NodeJS.Platform = process.platform,
  env: NodeJS.ProcessEnv = process.env,
): SpawnArguments {
  if (platform !== "win32") return { file: name, args, options: {} };
  const line = [name, ...args].map(quote).join(" ").replace(CMD_METACHARACTERS, "^$&");
  return {
    file: env.comspec ?? env.COMSPEC ?? "cmd.exe",
    args: ["/d", "/s", "/c", `"${line}"`],
    options: { windowsVerbatimArguments: true },
  };
}

/**
 * Quotes an argument by the rules with which Windows programs split their command line: a quote inside is escaped with
 * a backslash, and backslashes are doubled before a quote.
 */
function quote(argument: string): string {
  if (argument !== "" && !/[\s"]/.test(argument)) return argument;
  return `"${argument.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, "$&$&")}"`;
}
