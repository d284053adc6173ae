/** Set by scripts/build-js.mjs from package.json. */
declare const PACKAGE_VERSION: string;

/** The version of this package and of its add-on. */
export const VERSION: string = PACKAGE_VERSION;
