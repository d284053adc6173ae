// Endpoints that misbehave at random, in a child process: `fork(file, [seed, count, isGood])`. If `isGood` is 1, they
// do not misbehave. Each token contains its resource. A message closes every connection, and the reply reports what was
// done.

import { performance } from "node:perf_hooks";
import { setTimeout as delay } from "node:timers/promises";
import { startRawEndpoint, tokenResponse, writeAfter } from "../support/raw-endpoint.mjs";
import { between, choose, randomFrom } from "./random.mjs";

const [seed, count, isGood] = process.argv.slice(2).map(Number);
const random = randomFrom(seed);
const seen = {};

const CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
const TOO_MANY = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n";
/**
 * The package reuses a connection after 25 ms without data. A stray response that arrives later and does not name its
 * resource cannot be distinguished from the next response, so it is not sent if this process is too late.
 */
const STRAY_DEADLINE_MS = 12;

/** The behaviours of an endpoint for a request, with their weights. */
const behaviours = {
  good: [30, ({ socket, response }) => writeAfter(socket, between(random, 0, 20), response)],
  strayResponses: [
    25,
    async ({ socket, response }) => {
      await writeAfter(socket, between(random, 0, 5), response);
      const written = performance.now();
      for (let stray = between(random, 1, 3); stray > 0; stray -= 1) {
        await delay(between(random, 0, 8));
        if (performance.now() - written < STRAY_DEADLINE_MS) await writeAfter(socket, 0, response);
      }
    },
  ],
  twoResponsesAtOnce: [6, ({ socket, response }) => socket.write(response + response)],
  strayBytes: [3, ({ socket, response }) => socket.write(`${response}\r\n\0 HTTP/1.1 200`)],
  chunkSizeFlood: [2, ({ socket }) => flood(socket, CHUNKED, "0".repeat(4_096))],
  informationalFlood: [2, ({ socket }) => flood(socket, "", "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(64))],
  headFlood: [2, ({ socket }) => flood(socket, "HTTP/1.1 200 OK\r\n", `X: ${"x".repeat(999)}\r\n`)],
  tinyChunks: [2, ({ socket }) => flood(socket, CHUNKED, "1\r\nx\r\n".repeat(512))],
  resetAtAnyPoint: [
    8,
    async ({ socket, response }) => {
      await writeAfter(socket, between(random, 0, 10), partOf(response));
      await delay(between(random, 0, 10));
      socket.resetAndDestroy();
    },
  ],
  closedAtAnyPoint: [
    4,
    async ({ socket, response }) => {
      await writeAfter(socket, 0, partOf(response));
      await delay(between(random, 0, 10));
      socket.end();
    },
  ],
  hang: [4, () => {}],
  slowBytes: [
    4,
    async ({ socket, response }) => {
      const step = between(random, 1, 20);
      for (let at = 0; at < response.length && !socket.destroyed; at += step) {
        await writeAfter(socket, between(random, 1, 20), response.slice(at, at + step));
      }
    },
  ],
  closedWhileIdle: [
    8,
    async ({ socket, response }) => {
      await writeAfter(socket, 0, response);
      await delay(between(random, 0, 200));
      socket.end();
    },
  ],
  late: [6, ({ socket, response }) => writeAfter(socket, between(random, 150, 2_500), response)],
  tooManyRequests: [4, ({ socket }) => socket.write(`${TOO_MANY}\r\n`)],
  tooManyRequestsForASecond: [0.1, ({ socket }) => socket.write(`${TOO_MANY}Retry-After: 1\r\n\r\n`)],
  unavailable: [
    3,
    ({ socket }) => socket.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
  ],
  garbage: [
    2,
    ({ socket }) => socket.write(Buffer.from(Array.from({ length: 200 }, () => between(random, 0, 255)))),
  ],
  oldProtocol: [
    3,
    ({ socket, response }) =>
      socket.end(response.replace("HTTP/1.1", "HTTP/1.0").replace("keep-alive", "close")),
  ],
};

function partOf(response) {
  return response.slice(0, between(random, 0, response.length));
}

function flood(socket, start, repeated) {
  socket.write(start);
  const pump = () => {
    while (!socket.destroyed && socket.write(repeated));
  };
  socket.on("drain", pump);
  pump();
}

const names = isGood === 1 ? ["good"] : Object.keys(behaviours);
const choices = names.map((name) => [behaviours[name][0], name]);
const endpoints = [];

async function misbehave({ socket, resource }) {
  const response = tokenResponse(resource, {
    namesResource: random() < 0.5,
    // A third of the tokens expires during the run.
    lifetime: random() < 0.33 ? between(random, 1, 20) : 86_400,
  });
  const name = choose(random, choices);
  seen[name] = (seen[name] ?? 0) + 1;
  await behaviours[name][1]({ socket, response });
}

for (let index = 0; index < count; index += 1) {
  endpoints.push(await startRawEndpoint({ teardown() {} }, misbehave));
}
process.on("message", () => {
  for (const { sockets } of endpoints) for (const socket of sockets) socket.destroy();
  process.send({ seen, connections: endpoints.reduce((sum, { counts }) => sum + counts.connections, 0) });
});
process.on("disconnect", () => process.exit());
process.send(endpoints.map(({ env }) => env));
