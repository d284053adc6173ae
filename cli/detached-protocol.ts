// The messages between the command line and the detached process of an emulator.

import type { EmulatorEndpoints, EmulatorSettings } from "./emulator-runner.js";

/** The argument with which the command line becomes the detached process. It is not documented. */
export const SERVE_DETACHED = "--serve-detached";

/** The only message to the process. */
export type StartMessage = EmulatorSettings;

/** Endpoints with the id of their process. */
export type DetachedEndpoints = EmulatorEndpoints & { readonly pid: number };

/** The only message from the process: the endpoints, or why one could not start. */
export type StartResult =
  | { readonly endpoints: DetachedEndpoints }
  | { readonly endpoints?: undefined; readonly message: string; readonly isUsageError: boolean };
