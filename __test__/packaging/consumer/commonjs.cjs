// A CommonJS program.

const required = require("managed-identity-native");
const emulator = require("managed-identity-native/emulator");
const journey = require("./journey.cjs");

async function main() {
  const imported = await import("managed-identity-native");
  const addOns = process.report.getReport().sharedObjects.filter((path) => path.endsWith(".node"));
  console.log(
    JSON.stringify({ ...(await journey(required, emulator)), ...sameness(required, imported), addOns }),
  );
}

/** Whether two ways to the package lead to one instance of everything. */
function sameness(one, other) {
  const names = Object.keys(one);
  return { names: names.sort(), differing: names.filter((name) => one[name] !== other[name]) };
}

main();
