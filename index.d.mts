import face = require("./index.js");

export * from "./index.js";
export default face;
