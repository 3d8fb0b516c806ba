import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { SignedOutError } from "../src/client/errors";
import type { EventFrame } from "../src/client/protocol";
import { EXPIRING, type StreamOptions, type StreamState, ThreadStream } from "../src/client/stream";
import { delta, event, THREAD } from "./events";
import { Server, socketFactory, until } from "./server";

let server: Server;
let stream: ThreadStream;
let seen: number[];
let states: StreamState[];
let lives: boolean[];
let missed: number;

beforeEach(async () => {
  server = await Server.start();
  seen = [];
  states = [];
  lives = [];
  missed = 0;
});

afterEach(async () => {
  stream.close();
  await server.stop();
});

function start(options: Partial<StreamOptions> = {}): void {
  stream = new ThreadStream({
    address: async () => server.url,
    onEvent: (frame: EventFrame) => void seen.push(frame.seq ?? -1),
    onState: (state) => void states.push(state),
    onLive: (resumed) => void lives.push(resumed),
    onMissed: () => void missed++,
    socket: socketFactory,
    backoff: () => 1,
    ...options,
  });
  stream.start();
}

const session = (number: number) => until(() => server.sessions[number]);
const numbered = (...numbers: number[]) => numbers.map((seq) => delta(seq, "run", 0, "x"));

describe("a reconnect", () => {
  it.each([1000, 1001, 4321])("after close code %i goes on after the last event seen", async (code) => {
    start();
    const first = await session(0);
    for (const frame of numbered(1, 2, 3)) first.send(frame);
    await until(() => seen.length === 3);

    first.socket.close(code);
    const second = await session(1);
    // The service repeats one, as after a sender's death.
    for (const frame of numbered(3, 4, 5)) second.send(frame);
    await until(() => seen.length === 5);

    expect(first.since).toBeUndefined();
    expect(second.since).toBe(`${THREAD}:3`);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
    expect(lives).toEqual([false, true]);
    expect(missed).toBe(0);
  });

  it("comes after a connection that was cut without a word", async () => {
    start();
    (await session(0)).socket.terminate();
    const second = await session(1);
    second.send(delta(1, "run", 0, "x"));
    await until(() => seen.length === 1);

    expect(second.since).toBeUndefined();
    expect(states.map((state) => state.kind)).toEqual(["connecting", "live", "waiting", "live"]);
    expect(states[2]).toMatchObject({ attempt: 1, reason: "the connection was lost" });
  });

  it("is tried until the service is there again", async () => {
    let attempts = 0;
    const address = async () => {
      attempts += 1;
      if (attempts < 4) throw new Error("away");
      return server.url;
    };
    start({ address });
    await session(0);

    expect(states.filter((state) => state.kind === "waiting").map((state) => state.attempt)).toEqual([1, 2, 3]);
  });

  it("does not wait when the page is seen again", async () => {
    let attempts = 0;
    const address = async () => {
      attempts += 1;
      if (attempts === 1) throw new Error("away");
      return server.url;
    };
    start({ address, backoff: () => 60_000 });
    await until(() => states.some((state) => state.kind === "waiting"));
    stream.wake();

    await session(0);
  });

  it("is not tried without a sign-in", async () => {
    start({ address: () => Promise.reject(new SignedOutError()) });
    await until(() => states.at(-1)?.kind === "signed-out");

    expect(server.sessions).toHaveLength(0);
  });

  it("is not tried after close", async () => {
    start();
    const first = await session(0);
    stream.close();
    await until(() => first.socket.readyState === first.socket.CLOSED);

    expect(states.at(-1)).toEqual({ kind: "closed" });
    expect(server.sessions).toHaveLength(1);
  });

  it("to a thread that was made again takes nothing of it for seen", async () => {
    start();
    const first = await session(0);
    for (const frame of numbered(1, 2, 3)) first.send(frame);
    await until(() => seen.length === 3);

    first.socket.close();
    const second = await session(1);
    const again = (...numbers: number[]) =>
      numbered(...numbers).map((frame) => ({ ...frame, event_id: `another-log:${frame.seq}` }));
    for (const frame of again(1, 2)) second.send(frame);
    await until(() => seen.length === 5);
    second.socket.close();
    const third = await session(2);
    for (const frame of again(2, 3)) third.send(frame);
    await until(() => seen.length === 6);

    expect([second.since, third.since]).toEqual([`${THREAD}:3`, "another-log:2"]);
    expect(seen).toEqual([1, 2, 3, 1, 2, 3]);
    // What was shown before is the messages of the other one.
    expect(missed).toBe(1);
  });

  it("begins anew where the service does not know the number any more", async () => {
    start();
    const first = await session(0);
    first.send(delta(900, "run", 0, "x"));
    await until(() => seen.length === 1);
    server.refuse = (_, params) => (params["since"] === undefined ? null : "invalid_argument");
    first.socket.close();
    const second = await session(1);
    second.send(delta(1, "run", 0, "x"));
    await until(() => seen.length === 2);

    expect(second.since).toBeUndefined();
    expect(seen).toEqual([900, 1]);
    expect(lives).toEqual([false, false]);
  });
});

describe("what comes", () => {
  it("is noticed to be missing", async () => {
    start();
    const first = await session(0);
    first.send(delta(1, "run", 0, "x"));
    first.send(delta(4, "run", 0, "x"));
    await until(() => seen.length === 2);

    expect(missed).toBe(1);
  });

  it("may be no event, and is passed over", async () => {
    start();
    const first = await session(0);
    first.socket.send('{"message": "Internal server error"}');
    first.socket.send("no JSON");
    first.socket.send("[1]");
    first.send(delta(1, "run", 0, "x"));
    await until(() => seen.length === 1);

    expect(states.at(-1)?.kind).toBe("live");
  });
});

describe("the life of a connection", () => {
  it("is kept by pings", async () => {
    start({ pingEveryMs: 5 });
    await until(() => server.commands.filter(({ method }) => method === "ping").length >= 3);

    expect(states.at(-1)?.kind).toBe("live");
  });

  it("ends where nobody answers them", async () => {
    server.answersPings = false;
    start({ pingAnswerMs: 20 });
    const first = await session(0);
    const closed = new Promise<number>((resolve) => first.socket.on("close", resolve));
    stream.wake();

    expect(await closed).toBe(4000);
    await session(1);
  });

  it.each(["by itself", "when its end is announced"])("moves on before it ends, %s, without a gap", async (how) => {
    start(how === "by itself" ? { moveAfterMs: 30 } : {});
    const first = await session(0);
    for (const frame of numbered(1, 2)) first.send(frame);
    await until(() => seen.length === 2);
    // Both deliver for a while; the old one may be ahead, and the new one repeats what it has given.
    server.onSubscribe = () => first.send(delta(3, "run", 0, "x"));
    if (how !== "by itself") {
      const { seq: _, event_id: __, ...announced } = event(0, "custom", undefined, {
        name: EXPIRING,
        payload: { expires_at: Date.now() + 60_000 },
      });
      first.send(announced);
    }
    const second = await session(1);
    for (const frame of numbered(3, 4)) second.send(frame);
    await until(() => seen.length === 4);
    await until(() => first.socket.readyState === first.socket.CLOSED);

    expect(second.since).toBe(`${THREAD}:2`);
    expect(seen).toEqual([1, 2, 3, 4]);
    expect(missed).toBe(0);
    expect(states.some((state) => state.kind === "waiting")).toBe(false);
  });
});
