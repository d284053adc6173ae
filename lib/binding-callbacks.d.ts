/*
 * The types of the functions that native code calls. binding.d.ts, which is generated, refers to them by these names
 * without declaring them.
 */

type SendFunction = (
  request: import("../binding.js").JsNetworkRequest,
) => Promise<import("../binding.js").JsNetworkResponse>;
type LogFunction = (level: number, message: string) => void;
type AccessFunction = (access: import("../binding.js").CacheAccess) => Promise<string | undefined>;
type EventFunction = (event: import("../binding.js").JsEvent) => void;
