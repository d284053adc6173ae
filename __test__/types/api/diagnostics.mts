// The channels' messages, by the channels' names.

import { channel } from "node:diagnostics_channel";
import type { DiagnosticsChannels } from "managed-identity-native";

function subscribe<Name extends keyof DiagnosticsChannels>(
  name: Name,
  listener: (message: DiagnosticsChannels[Name]) => void,
): void {
  channel(name).subscribe((message) => listener(message as DiagnosticsChannels[Name]));
}

subscribe("managed-identity-native:request", ({ attempt, durationInMs, statusCode, fault, endpoint }) => {
  const figures: number[] = [attempt, durationInMs, statusCode ?? 0];
  const words: (string | undefined)[] = [fault, endpoint];
  return [figures, words];
});
subscribe("managed-identity-native:retry", ({ waitInMs, errorCode }): [number, string] => [
  waitInMs,
  errorCode,
]);
subscribe("managed-identity-native:refresh", ({ expiresOn, metadata }) => [
  expiresOn?.getTime(),
  metadata?.attempts,
]);
subscribe("managed-identity-native:acquire:end", ({ fromCache, error }) => [fromCache, error]);
// @ts-expect-error no such channel
subscribe("managed-identity-native:acquire", () => {});
// @ts-expect-error no message holds a token
subscribe("managed-identity-native:acquire:end", ({ accessToken }) => accessToken);
