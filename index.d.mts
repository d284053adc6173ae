import native = require("./index.js");

export * from "./index.js";
export default native;
