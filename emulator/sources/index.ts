// All sources by name.

import type { EmulatorSource } from "managed-identity-native/emulator";
import { appService } from "./app-service.js";
import { azureArc } from "./azure-arc.js";
import { cloudShell } from "./cloud-shell.js";
import { imds } from "./imds.js";
import { machineLearning } from "./machine-learning.js";
import { serviceFabric } from "./service-fabric.js";
import type { SourceDefinition } from "./source.js";
import { workloadIdentity } from "./workload-identity.js";

export const sourceDefinitions: Readonly<Record<EmulatorSource, SourceDefinition>> = {
  "app-service": appService,
  imds,
  "azure-arc": azureArc,
  "cloud-shell": cloudShell,
  "machine-learning": machineLearning,
  "service-fabric": serviceFabric,
  "workload-identity": workloadIdentity,
};

/** The names of all sources, in the order of the documentation; frozen. */
export const sourceNames: readonly EmulatorSource[] = Object.freeze(
  Object.keys(sourceDefinitions) as EmulatorSource[],
);
