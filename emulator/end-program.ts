// How to end a program that was started with the arguments of spawn-arguments.ts.

import { type ChildProcess, execFile } from "node:child_process";
import { win32 } from "node:path";

/**
 * Ends a program at once, and on Windows also the programs that it has started: ending cmd.exe, which starts scripts,
 * would leave those running. Its output is not read any further.
 */
export function endProgram(child: ChildProcess): void {
  child.stdout?.destroy();
  child.stderr?.destroy();
  if (process.platform !== "win32" || child.pid === undefined) {
    child.kill();
    return;
  }
  const taskkill = win32.join(process.env.SystemRoot ?? "C:\\Windows", "System32", "taskkill.exe");
  execFile(taskkill, ["/pid", String(child.pid), "/t", "/f"], { windowsHide: true }, (error) => {
    if (error) child.kill();
  });
}
