// The signals that end the emulator, or that are forwarded to the command that it runs.

/** Sent by a service manager or another process, by Ctrl-C, and when the terminal closes. */
const SHUTDOWN_SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGTERM", "SIGHUP"];
/** Sent by a terminal to all foreground processes. */
const KEYBOARD_SIGNALS: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT"];
const FORWARDED_SIGNALS: readonly NodeJS.Signals[] = [...SHUTDOWN_SIGNALS, "SIGQUIT", "SIGUSR2"];

/** Resolves at the first shutdown signal. After this call such a signal does not end the process by itself. */
export function waitForShutdownSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of SHUTDOWN_SIGNALS) process.on(signal, () => resolve());
  });
}

/** Forwards signals with `send`, to a child process, until the returned function is called. */
export function forwardSignals(send: (signal: NodeJS.Signals) => void): () => void {
  const isInteractive = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  const forward = (signal: NodeJS.Signals) => {
    // The terminal sends keyboard signals to the child as well. Many programs exit at once on a second Ctrl-C.
    if (!(isInteractive && KEYBOARD_SIGNALS.includes(signal))) send(signal);
  };
  const available = process.platform === "win32" ? SHUTDOWN_SIGNALS : FORWARDED_SIGNALS;
  for (const signal of available) process.on(signal, forward);
  return () => {
    for (const signal of available) process.off(signal, forward);
  };
}
