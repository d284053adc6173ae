// Loaded before a program. Makes Node.js report another machine, which the variable MACHINE describes: platform,
// architecture and, on Linux, C library. It also records the programs that are started.

const childProcess = require("node:child_process");

const [platform, arch, libc] = (process.env.MACHINE ?? "").split(" ");
if (platform !== "") {
  Object.defineProperty(process, "platform", { value: platform });
  Object.defineProperty(process, "arch", { value: arch });
  process.report.getReport = () => ({ header: libc === "glibc" ? { glibcVersionRuntime: "2.31" } : {} });
}

globalThis.started = [];
for (const name of ["exec", "execFile", "execFileSync", "execSync", "fork", "spawn", "spawnSync"]) {
  childProcess[name] = (command) => {
    globalThis.started.push(command);
    throw new Error(`${command} was started`);
  };
}
