import { describe, expect, it } from "vitest";

import { fold } from "../src/client/fold";
import type { EventFrame, JsonObject } from "../src/client/protocol";
import { EMPTY_VIEW, type View, activeRun } from "../src/client/view";
import { delta, event, lifecycle, messageStart, textBlock, THREAD } from "./events";

const RUN = "run-1";

function folded(frames: EventFrame[], view: View = EMPTY_VIEW): View {
  return frames.reduce((before, frame, index) => fold(before, frame, 1000 + index), view);
}

const ANSWER = [
  lifecycle(1, RUN, "running"),
  messageStart(2, RUN, "m1"),
  textBlock(3, RUN, 0),
  delta(4, RUN, 0, "Hel"),
  delta(5, RUN, 0, "lo"),
  event(6, "messages", RUN, { event: "content-block-finish", index: 0, content: { type: "text", text: "Hello" } }),
  event(7, "messages", RUN, { event: "message-finish", usage: { input_tokens: 3, output_tokens: 2 } }),
  lifecycle(8, RUN, "completed"),
];

describe("an answer", () => {
  it("is its deltas, and its run has figures", () => {
    const view = folded(ANSWER);

    expect(view.messages).toHaveLength(1);
    expect(view.messages[0]).toMatchObject({ id: "m1", phase: "done", blocks: [{ kind: "text", text: "Hello" }] });
    expect(view.runs.get(RUN)).toMatchObject({ phase: "completed", outputTokens: 2, startedAt: 1000, firstTokenAt: 1003 });
    expect(activeRun(view)).toBeUndefined();
  });

  it("is shown while it is given", () => {
    const view = folded(ANSWER.slice(0, 4));

    expect(view.messages[0]).toMatchObject({ phase: "streaming", blocks: [{ text: "Hel" }] });
    expect(activeRun(view)?.id).toBe(RUN);
  });

  it("stands once where it is replayed from its beginning", () => {
    const view = folded([...ANSWER.slice(0, 5), ...ANSWER.slice(1, 5)]);

    expect(view.messages).toHaveLength(1);
    expect(view.messages[0]?.blocks).toEqual([{ kind: "text", text: "Hello" }]);
  });

  it("keeps the text of its deltas where the whole block was cut", () => {
    const cut = { event: "content-block-finish", index: 0, content: { type: "text", text: "Hel" } };
    const view = folded([...ANSWER.slice(0, 5), event(6, "messages", RUN, cut)]);

    expect(view.messages[0]?.blocks).toEqual([{ kind: "text", text: "Hello" }]);
  });

  it("that breaks off is told from the one that follows it", () => {
    const broken = event(5, "messages", RUN, { event: "error", message: "gone", code: "stalled" });
    const view = folded([...ANSWER.slice(0, 4), broken, messageStart(6, RUN, "m2"), textBlock(7, RUN, 0), delta(8, RUN, 0, "Again")]);

    expect(view.messages.map(({ id, phase }) => [id, phase])).toEqual([
      ["m1", "abandoned"],
      ["m2", "streaming"],
    ]);
  });

  it("whose beginning was lost is shown from where it is known", () => {
    const view = folded([delta(9, RUN, 1, "rest")]);

    expect(view.messages[0]?.blocks).toEqual([
      { kind: "text", text: "" },
      { kind: "text", text: "rest" },
    ]);
  });

  it("does not touch other messages: they stay the same objects", () => {
    const before = folded([...ANSWER, lifecycle(9, "run-2", "running"), messageStart(10, "run-2", "m2"), textBlock(11, "run-2", 0)]);
    const after = fold(before, delta(12, "run-2", 0, "x"), 1);

    expect(after.messages[0]).toBe(before.messages[0]);
    expect(after.messages[1]).not.toBe(before.messages[1]);
  });
});

describe("the end of a run", () => {
  it.each([
    ["failed", "stop: the run was stopped", "stopped"],
    ["failed", "interrupt: another run was started", "stopped"],
    ["failed", "model_error: the provider is away", "failed"],
    ["failed", "timed_out: it took too long", "failed"],
    ["interrupted", undefined, "interrupted"],
    ["completed", undefined, "completed"],
  ])("%s with %s is %s", (word, error, phase) => {
    const view = folded([lifecycle(1, RUN, "running"), lifecycle(2, RUN, word, error)]);

    expect(view.runs.get(RUN)?.phase).toBe(phase);
  });

  it("closes what was open", () => {
    const started = event(4, "tools", RUN, { event: "tool-started", tool_call_id: "c1", tool_name: "wait", input: {} });
    const view = folded([...ANSWER.slice(0, 3), started, lifecycle(5, RUN, "failed", "stop: stopped")]);

    expect(view.messages.map((message) => message.phase)).toEqual(["done", "done"]);
    expect(view.messages[1]?.blocks[0]).toMatchObject({ call: { status: "failed" } });
  });

  it("tells a count of ours from the provider's", () => {
    const usage = { input_tokens: 3, output_tokens: 2, estimated: true };
    const view = folded([...ANSWER.slice(0, 2), event(3, "messages", RUN, { event: "message-finish", usage })]);

    expect(view.runs.get(RUN)).toMatchObject({ outputTokens: 2, estimated: true });
    expect(folded(ANSWER).runs.get(RUN)?.estimated).toBeUndefined();
  });

  it("is final: a late word of it changes nothing", () => {
    const view = folded([...ANSWER, lifecycle(9, RUN, "running")]);

    expect(view.runs.get(RUN)?.phase).toBe("completed");
  });
});

describe("a call", () => {
  const chunk = { type: "tool_call_chunk", id: "c1", name: "http_fetch", args: "" };
  const call = { type: "tool_call", id: "c1", name: "http_fetch", args: { url: "https://example.com" } };
  const begun = [
    messageStart(1, RUN, "m1"),
    event(2, "messages", RUN, { event: "content-block-start", index: 0, content: chunk }),
    event(3, "messages", RUN, { event: "content-block-finish", index: 0, content: call }),
  ];
  const tool = (seq: number, data: JsonObject) => event(seq, "tools", RUN, { tool_call_id: "c1", ...data });

  it("goes from its words to its result", () => {
    const view = folded([...begun, tool(4, { event: "tool-started" }), tool(5, { event: "tool-finished", output: "page" })]);

    expect(view.messages[0]?.blocks[0]).toEqual({
      kind: "call",
      call: {
        ...{ id: "c1", name: "http_fetch", args: { url: "https://example.com" } },
        ...{ status: "done", output: "page", startedAt: 1003, endedAt: 1004 },
      },
    });
  });

  it("keeps its result where its whole words come later", () => {
    const view = folded([begun[0] as EventFrame, begun[1] as EventFrame, tool(3, { event: "tool-started" }), begun[2] as EventFrame]);

    expect(view.messages[0]?.blocks[0]).toMatchObject({ call: { status: "running", args: { url: "https://example.com" } } });
  });

  it("that needs approval waits, and no longer once it is executed", () => {
    const asked = event(4, "input.requested", RUN, {
      interrupt_id: "c1",
      payload: { type: "approval", tool: "http_fetch", arguments: { url: "u" } },
    });
    const waiting = folded([...begun, asked, lifecycle(5, RUN, "interrupted")]);
    expect(waiting.awaiting).toEqual([{ callId: "c1", tool: "http_fetch", args: { url: "u" } }]);
    expect(waiting.messages[0]?.blocks[0]).toMatchObject({ call: { status: "awaiting" } });

    const executed = folded([event(6, "tools", "run-2", { event: "tool-started", tool_call_id: "c1" })], waiting);
    expect(executed.awaiting).toEqual([]);
    expect(executed.messages[0]?.blocks[0]).toMatchObject({ call: { status: "running" } });
  });

  it("with broken arguments has failed", () => {
    const bad = { type: "invalid_tool_call", id: "c2", name: "x", args: "{", error: "no JSON" };
    const view = folded([begun[0] as EventFrame, event(2, "messages", RUN, { event: "content-block-finish", index: 0, content: bad })]);

    expect(view.messages[0]?.blocks[0]).toMatchObject({ call: { status: "failed", output: "no JSON" } });
  });
});

describe("a gap", () => {
  const gap = event(20, "custom", undefined, { name: "gap", payload: { from: 10, to: 19 } });

  it("is told, and its snapshot replaces what it has", () => {
    const values = event(21, "values", undefined, {
      messages: [
        { type: "human", content: "Hi", id: "u1" },
        { type: "ai", content: "Hello, all of it", id: "m1" },
      ],
    });
    const view = folded([...ANSWER.slice(0, 5), gap, values]);

    expect(view.gap).toBe(true);
    expect(view.messages.map(({ id, role, blocks }) => [id, role, blocks])).toEqual([
      ["u1", "user", [{ kind: "text", text: "Hi" }]],
      ["m1", "assistant", [{ kind: "text", text: "Hello, all of it" }]],
    ]);
  });

  it("keeps an answer that is being given, which no snapshot has", () => {
    const values = event(21, "values", undefined, { messages: [{ type: "human", content: "Hi", id: "u1" }] });
    const view = folded([...ANSWER.slice(0, 5), gap, values, delta(22, RUN, 0, "!")]);

    expect(view.messages.map(({ id }) => id)).toEqual(["u1", "m1"]);
    expect(view.messages[1]?.blocks).toEqual([{ kind: "text", text: "Hello!" }]);
  });

  it("keeps what is older than its snapshot", () => {
    const old = folded(ANSWER);
    const later = folded([messageStart(30, "run-2", "m9")], old);
    const values = event(31, "values", undefined, { messages: [{ type: "ai", content: "nine", id: "m9" }] });

    expect(fold(later, values, 1).messages.map(({ id }) => id)).toEqual(["m1", "m9"]);
  });
});

it("events of channels that are not known change nothing", () => {
  const view = folded(ANSWER);

  expect(fold(view, event(9, "checkpoints", RUN, { anything: THREAD }), 1)).toBe(view);
});
