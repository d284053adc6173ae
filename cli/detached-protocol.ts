// The messages between the command line and the detached process of an emulator.

import type { EmulatorEndpoint, EmulatorSettings } from "./emulator-runner.js";

/** The argument with which the command line becomes the detached process. It is not documented. */
export const SERVE_DETACHED = "--serve-detached";

/** The only message to the process. */
export type StartMessage = EmulatorSettings;

/** An endpoint with the id of its process. */
export type DetachedEndpoint = EmulatorEndpoint & { readonly pid: number };

/** The only message from the process: the endpoint, or why it could not start. */
export type StartResult =
  | { readonly endpoint: DetachedEndpoint }
  | { readonly endpoint?: undefined; readonly message: string; readonly isUsageError: boolean };
