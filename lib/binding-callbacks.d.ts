/*
 * The types of the functions that native code calls. binding.d.ts, which is generated, refers to them by these names
 * without declaring them.
 */

type AccessFunction = (access: import("../binding.js").CacheAccess) => Promise<string | undefined>;
