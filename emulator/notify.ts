// Functions of the emulator's user that are only told something.

/** Calls a function. An asynchronous one is not waited for, and its rejection is ignored: nothing could handle it. */
export function notify(callback: ((value: string) => unknown) | undefined, value: string): void {
  const result = callback?.(value);
  if (result instanceof Promise) result.catch(() => {});
}
