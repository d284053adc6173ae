"use strict";

// How a program is started by its name without giving a shell anything to interpret. On Windows many programs
// (az, npm) are scripts, which only cmd.exe can start; there every character that means something to it is
// escaped. It must not know which program it is.

/** What cmd.exe would act upon; a caret before it makes it a plain character. */
const MEANS_SOMETHING = /[()%!^"<>&|]/g;

/** The file, the arguments and the options for `child_process.spawn` that start `name` with `given`. */
function commandOf(name, given, platform = process.platform, env = process.env) {
  if (platform !== "win32") return { file: name, args: given, options: {} };
  const line = [name, ...given].map(quote).join(" ").replace(MEANS_SOMETHING, "^$&");
  return {
    file: env.comspec ?? env.COMSPEC ?? "cmd.exe",
    args: ["/d", "/s", "/c", `"${line}"`],
    options: { windowsVerbatimArguments: true },
  };
}

/**
 * One argument as Windows programs split their command line: in quotes, a quote inside with a backslash, and
 * backslashes doubled where a quote follows.
 */
function quote(argument) {
  if (argument !== "" && !/[\s"]/.test(argument)) return argument;
  return `"${argument.replace(/(\\*)"/g, '$1$1\\"').replace(/\\+$/, "$&$&")}"`;
}

module.exports = { commandOf };
