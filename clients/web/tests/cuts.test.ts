/** However a stream is cut, the view at its end is the same. */

import { expect, it } from "vitest";

import { fold } from "../src/client/fold";
import type { EventFrame } from "../src/client/protocol";
import { ThreadStream } from "../src/client/stream";
import { EMPTY_VIEW, type View } from "../src/client/view";
import { delta, event, lifecycle, messageStart, textBlock, THREAD } from "./events";
import { Server, socketFactory, until } from "./server";

const RUN = "run-1";
const DELTAS = 40;

const LOG: EventFrame[] = [
  lifecycle(1, RUN, "running"),
  messageStart(2, RUN, "m1"),
  textBlock(3, RUN, 0),
  ...Array.from({ length: DELTAS }, (_, index) => delta(4 + index, RUN, 0, `word${index} `)),
  event(4 + DELTAS, "messages", RUN, { event: "message-finish", usage: { input_tokens: 1, output_tokens: DELTAS } }),
  lifecycle(5 + DELTAS, RUN, "completed"),
];

/** Follow a server that cuts each connection after `events` events; the view and the numbers at the end. */
async function follow(events: number): Promise<{ view: View; seen: number[] }> {
  const server = await Server.start();
  let view = EMPTY_VIEW;
  const seen: number[] = [];
  const stream = new ThreadStream({
    address: async () => server.url,
    onEvent: (frame) => {
      seen.push(frame.seq ?? -1);
      view = fold(view, frame, 0);
    },
    onState: () => undefined,
    onLive: () => undefined,
    onMissed: () => seen.push(Number.NaN),
    socket: socketFactory,
    backoff: () => 0,
  });
  server.onSession = (session) => {
    const rest = LOG.slice(Number(String(session.since ?? `${THREAD}:0`).split(":")[1]));
    // The last event of a connection is sent twice, as by a sender that took over from a dead one.
    const given = rest.slice(0, events);
    for (const frame of [...given, ...given.slice(-1)]) session.send(frame);
    if (rest.length > events) session.socket.close();
  };
  stream.start();
  try {
    await until(() => view.runs.get(RUN)?.phase === "completed");
    return { view, seen };
  } finally {
    stream.close();
    await server.stop();
  }
}

it.each([1, 2, 3, 7, LOG.length])("cut after every %i events", async (events) => {
  const { view, seen } = await follow(events);

  expect(seen).toEqual(LOG.map((frame) => frame.seq));
  expect(view).toEqual(LOG.reduce((before, frame) => fold(before, frame, 0), EMPTY_VIEW));
});
