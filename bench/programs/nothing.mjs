// A process that does nothing: what Node.js itself takes to start and end.

console.log(JSON.stringify({ values: {}, requests: 0 }));
