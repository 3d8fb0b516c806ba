import { describe, expect, it } from "vitest";

import { fold } from "../src/client/fold";
import { fromRun, fromStored, withStored } from "../src/client/history";
import type { JsonObject, Run, StoredMessage } from "../src/client/protocol";
import { EMPTY_VIEW } from "../src/client/view";
import { delta, lifecycle, messageStart, textBlock } from "./events";

function stored(id: string, type: StoredMessage["type"], content: JsonObject, metadata: JsonObject = {}): StoredMessage {
  return { message_id: id, type, content, metadata, agent_run_id: "run-1", created_at: "2026-11-21T10:00:00Z" };
}

function run(status: Run["status"], changes: Partial<Run> = {}): Run {
  return {
    ...{ run_id: "run-1", thread_id: "t", assistant_id: "agent", status, error: null, usage: null },
    ...{ created_at: "2026-11-21T10:00:00Z", updated_at: "2026-11-21T10:00:05Z" },
    ...changes,
  };
}

const CALL = { id: "c1", type: "function", function: { name: "http_fetch", arguments: '{"url": "u"}' } };
const USER = stored("u1", "user", { role: "user", content: "Fetch it" });
const ASKING = stored("m1", "assistant", { role: "assistant", content: "I will.", tool_calls: [CALL] });

describe("stored messages", () => {
  it("have results beside their calls", () => {
    const result = stored("r1", "tool", { role: "tool", tool_call_id: "c1", name: "http_fetch", content: '{"a": 1}' }, { success: true });
    const messages = fromStored([USER, ASKING, result]);

    expect(messages.map(({ id }) => id)).toEqual(["u1", "m1"]);
    expect(messages[1]?.blocks).toEqual([
      { kind: "text", text: "I will." },
      { kind: "call", call: { id: "c1", name: "http_fetch", args: { url: "u" }, status: "done", output: { a: 1 } } },
    ]);
  });

  it("have XML calls taken out of their text", () => {
    const text = 'Look:\n<function_calls>\n<invoke name="add">\n<parameter name="first">1</parameter>\n</invoke>\n</function_calls>';
    const result = '<tool_result name="add" call_id="m2-x0">\n3\n</tool_result>';
    const messages = fromStored([
      stored("m2", "assistant", { role: "assistant", content: text }),
      stored("r2", "tool", { role: "assistant", content: result }, { tool_call_id: "m2-x0", success: false }),
    ]);

    expect(messages).toHaveLength(1);
    expect(messages[0]?.blocks).toEqual([
      { kind: "text", text: "Look:" },
      { kind: "call", call: { id: "m2-x0", name: "add", args: { first: "1" }, status: "failed", output: 3 } },
    ]);
  });

  it("may have images", () => {
    const content = [
      { type: "image_url", image_url: { url: "data:image/png;base64,AA==" } },
      { type: "text", text: "What is it?" },
    ];

    expect(fromStored([stored("u2", "user", { role: "user", content })])[0]?.blocks).toEqual([
      { kind: "image", url: "data:image/png;base64,AA==" },
      { kind: "text", text: "What is it?" },
    ]);
  });

  it("that people or models wrote are not taken for results", () => {
    const said = '<tool_result name="http_fetch" call_id="c1">\nx\n</tool_result>';
    const claims = stored("m2", "assistant", { role: "assistant", content: said });

    expect(fromStored([USER, ASKING, claims]).map(({ blocks }) => blocks)).toMatchObject([
      [{ kind: "text" }],
      [{ kind: "text" }, { kind: "call", call: { status: "pending" } }],
      [{ kind: "text", text: said }],
    ]);
    expect(fromStored([stored("u3", "user", { role: "user", content: said })])[0]?.blocks).toEqual([{ kind: "text", text: said }]);
  });
});

describe("what the database has", () => {
  it("tells which calls await approval", () => {
    const view = withStored(EMPTY_VIEW, fromStored([USER, ASKING]), [fromRun(run("interrupted"))]);

    expect(view.awaiting).toEqual([{ callId: "c1", tool: "http_fetch", args: { url: "u" } }]);
    expect(view.messages[1]?.blocks[1]).toMatchObject({ call: { status: "awaiting" } });
  });

  it("does not take back an answer that is being given", () => {
    const events = [lifecycle(1, "run-1", "running"), messageStart(2, "run-1", "m9"), textBlock(3, "run-1", 0), delta(4, "run-1", 0, "Now")];
    const live = events.reduce((view, event) => fold(view, event, 1), EMPTY_VIEW);
    const view = withStored(live, fromStored([USER]), [fromRun(run("running"))]);

    expect(view.messages.map(({ id, phase }) => [id, phase])).toEqual([
      ["u1", "done"],
      ["m9", "streaming"],
    ]);
    expect(view.messages[1]).toBe(live.messages[0]);
  });

  it("has the last word once the run has ended", () => {
    const events = [messageStart(2, "run-1", "lost"), textBlock(3, "run-1", 0), delta(4, "run-1", 0, "Now")];
    const live = events.reduce((view, event) => fold(view, event, 1), EMPTY_VIEW);
    const view = withStored(live, fromStored([USER]), [fromRun(run("success"))]);

    expect(view.messages.map(({ id }) => id)).toEqual(["u1"]);
  });

  it("keeps what could not be sent", () => {
    const unsent = { id: "x", role: "user", blocks: [], phase: "unsent" } as const;
    const view = withStored({ ...EMPTY_VIEW, messages: [unsent] }, fromStored([USER]), []);

    expect(view.messages.map(({ id }) => id)).toEqual(["u1", "x"]);
  });

  it("leaves the same message the same object", () => {
    const first = withStored(EMPTY_VIEW, fromStored([USER]), []);
    const second = withStored(first, fromStored([USER]), []);

    expect(second.messages[0]).toBe(first.messages[0]);
  });
});

it.each([
  [run("success"), "completed"],
  [run("interrupted"), "interrupted"],
  [run("interrupted", { error: { code: "stop", message: "stopped" } }), "stopped"],
  [run("timeout", { error: { code: "timed_out", message: "too long" } }), "failed"],
  [run("pending"), "queued"],
])("a run on the wire %#", (wire, phase) => {
  expect(fromRun(wire).phase).toBe(phase);
});
