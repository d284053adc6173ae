// An empty program: the time that Node.js itself takes to start and exit.

console.log(JSON.stringify({ values: {}, requests: 0 }));
