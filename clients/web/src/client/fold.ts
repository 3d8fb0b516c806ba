/** What an event changes in the view. Pure: the same events give the same view, however often they were cut. */

import type { EventFrame, JsonObject } from "./protocol";
import { fromWire } from "./history";
import type { Awaiting, Block, Call, Message, RunPhase, View } from "./view";
import { number, object, text, withCall, withMessage, withRun } from "./view";

const ENDS: Readonly<Record<string, RunPhase>> = {
  completed: "completed",
  failed: "failed",
  interrupted: "interrupted",
};
/** Codes of ends that somebody asked for. */
const STOPPED: ReadonlySet<string> = new Set(["stop", "stopped", "interrupt", "rollback"]);

/** `at`: when the event came, epoch ms. */
export function fold(view: View, frame: EventFrame, at: number): View {
  const { data, run_id: runId = "" } = frame.params;
  switch (frame.method) {
    case "messages":
      return foldMessage(view, runId, data, at);
    case "tools":
      return foldTool(view, runId, data, at);
    case "lifecycle":
      return foldLifecycle(view, runId, data, at);
    case "input.requested":
      return foldInput(view, data);
    case "values":
      return Array.isArray(data["messages"]) ? foldValues(view, data) : view;
    case "custom":
      return data["name"] === "gap" ? { ...view, gap: true } : view;
    default:
      return view;
  }
}

/** The run that an event ends, if it ends one. */
export function endedRun(frame: EventFrame): string | undefined {
  return frame.method === "lifecycle" && text(frame.params.data["event"]) in ENDS ? frame.params.run_id : undefined;
}

/** Whether an event stands for messages that have to be asked for. */
export function wantsState(frame: EventFrame): boolean {
  return frame.method === "values" && frame.params.data["truncated"] === true;
}

function foldLifecycle(view: View, runId: string, data: JsonObject, at: number): View {
  const word = text(data["event"]);
  const end = ENDS[word];
  const known = view.runs.get(runId);
  if (end === undefined) {
    if (known && known.phase !== "queued" && known.phase !== "running") return view;
    if (word === "running") return withRun(view, runId, { phase: "running", startedAt: known?.startedAt ?? at });
    return known ? view : withRun(view, runId, { phase: "queued", startedAt: at });
  }
  const error = text(data["error"]);
  const code = error.split(":", 1)[0] ?? "";
  const phase = end === "failed" && STOPPED.has(code) ? "stopped" : end;
  const ended = withRun(view, runId, { phase, endedAt: at, ...(error ? { error: withoutCode(error) } : {}) });
  return { ...ended, messages: ended.messages.map((message) => finished(message, runId)) };
}

/** An answer's message, once its run has ended: nothing of it goes on. */
function finished(message: Message, runId: string): Message {
  if (message.runId !== runId) return message;
  const open = message.blocks.some((block) => block.kind === "call" && isOpen(block.call));
  if (message.phase !== "streaming" && !open) return message;
  const blocks = open ? message.blocks.map(closed) : message.blocks;
  return { ...message, blocks, phase: message.phase === "streaming" ? "done" : message.phase };
}

function isOpen(call: Call): boolean {
  return call.status === "running" || call.status === "pending";
}

function closed(block: Block): Block {
  if (block.kind !== "call" || !isOpen(block.call)) return block;
  return { kind: "call", call: { ...block.call, status: "failed", output: "The run ended before this call did." } };
}

function foldMessage(view: View, runId: string, data: JsonObject, at: number): View {
  if (data["event"] === "message-start") return startMessage(view, runId, data);
  const open = view.messages.findLast((message) => message.phase === "streaming" && message.runId === runId);
  if (!open) {
    // Its beginning was lost: it is shown from here on, until the thread's messages have it.
    if (data["event"] !== "content-block-delta" && data["event"] !== "content-block-start") return view;
    return foldMessage(startMessage(view, runId, { id: `beginning-lost-${runId}` }), runId, data, at);
  }
  const index = number(data["index"]);
  switch (data["event"]) {
    case "content-block-start":
      return withMessage(view, open.id, (message) => withBlock(message, index, () => blockOf(object(data["content"]))));
    case "content-block-delta":
      return withFirstToken(addDelta(view, open.id, index, object(data["delta"])), runId, at);
    case "content-block-finish":
      return withMessage(view, open.id, (message) =>
        withBlock(message, index, (block) => finishedBlock(block, object(data["content"]))),
      );
    case "message-finish":
      return finishMessage(view, open.id, runId, object(data["usage"]));
    case "error":
      return withMessage(view, open.id, (message) => ({ ...message, phase: "abandoned", error: text(data["message"]) }));
    default:
      return view;
  }
}

function startMessage(view: View, runId: string, data: JsonObject): View {
  const id = text(data["id"]);
  const model = text(object(data["metadata"])["model"]);
  const message: Message = { id, role: "assistant", blocks: [], phase: "streaming", runId, ...(model ? { model } : {}) };
  const at = view.messages.findIndex((known) => known.id === id);
  // A replay begins it anew, where it stands.
  const messages = at < 0 ? [...view.messages, message] : view.messages.with(at, message);
  return { ...view, messages };
}

function finishMessage(view: View, id: string, runId: string, usage: JsonObject): View {
  const output = number(usage["output_tokens"]);
  const done = withMessage(view, id, (message) => ({
    ...message,
    phase: "done",
    ...(output ? { outputTokens: output } : {}),
  }));
  const run = done.runs.get(runId);
  return withRun(done, runId, {
    inputTokens: (run?.inputTokens ?? 0) + number(usage["input_tokens"]),
    outputTokens: (run?.outputTokens ?? 0) + output,
    ...(usage["estimated"] === true ? { estimated: true } : {}),
  });
}

function withFirstToken(view: View, runId: string, at: number): View {
  const run = view.runs.get(runId);
  return run && run.firstTokenAt === undefined ? withRun(view, runId, { firstTokenAt: at }) : view;
}

function addDelta(view: View, id: string, index: number, delta: JsonObject): View {
  const kind = delta["type"] === "reasoning-delta" ? "reasoning" : delta["type"] === "text-delta" ? "text" : null;
  if (kind === null) return view;
  const added = text(delta[kind]);
  return withMessage(view, id, (message) =>
    withBlock(message, index, (block) => {
      const before = block?.kind === kind ? block.text : "";
      return { kind, text: before + added };
    }),
  );
}

function withBlock(message: Message, index: number, change: (block: Block | undefined) => Block): Message {
  const blocks = [...message.blocks];
  // Blocks before this one were lost.
  while (blocks.length < index) blocks.push({ kind: "text", text: "" });
  blocks[index] = change(blocks[index]);
  return { ...message, blocks };
}

function blockOf(content: JsonObject): Block {
  switch (content["type"]) {
    case "reasoning":
      return { kind: "reasoning", text: text(content["reasoning"]) };
    case "tool_call":
    case "tool_call_chunk":
    case "invalid_tool_call":
      return { kind: "call", call: callOf(content) };
    default:
      return { kind: "text", text: text(content["text"]) };
  }
}

function callOf(content: JsonObject): Call {
  const call: Call = {
    id: text(content["id"]),
    name: text(content["name"]),
    args: content["args"] ?? {},
    status: "pending",
  };
  return content["type"] === "invalid_tool_call" ? { ...call, status: "failed", output: text(content["error"]) } : call;
}

/** A whole block; its text is only taken where it is longer, since a long one's is cut in this event. */
function finishedBlock(block: Block | undefined, content: JsonObject): Block {
  const whole = blockOf(content);
  if (whole.kind === "call" && block?.kind === "call") {
    return { kind: "call", call: { ...block.call, name: whole.call.name, args: whole.call.args } };
  }
  if ((whole.kind === "text" || whole.kind === "reasoning") && block?.kind === whole.kind) {
    return whole.text.length >= block.text.length ? whole : block;
  }
  return whole;
}

function foldTool(view: View, runId: string, data: JsonObject, at: number): View {
  const callId = text(data["tool_call_id"]);
  switch (data["event"]) {
    case "tool-started": {
      const started = (call: Call): Call => ({ ...call, status: "running", startedAt: at });
      const changed = withCall(view, callId, started);
      if (changed !== view) return withoutAwaiting(changed, callId);
      return withCall(addCall(view, runId, callId, data), callId, started);
    }
    case "tool-finished":
      return withoutAwaiting(
        withCall(view, callId, (call) => ({ ...call, status: "done", output: data["output"] ?? null, endedAt: at })),
        callId,
      );
    case "tool-error":
      return withoutAwaiting(
        withCall(view, callId, (call) => ({ ...call, status: "failed", output: text(data["message"]), endedAt: at })),
        callId,
      );
    default:
      return view;
  }
}

/** A call whose message is not known here (its events were lost): shown in a message of its own. */
function addCall(view: View, runId: string, callId: string, data: JsonObject): View {
  const call: Call = { id: callId, name: text(data["tool_name"]), args: data["input"] ?? {}, status: "running" };
  const blocks: Block[] = [{ kind: "call", call }];
  const message: Message = { id: `call-${callId}`, role: "assistant", blocks, phase: "done", runId };
  return { ...view, messages: [...view.messages, message] };
}

function withoutAwaiting(view: View, callId: string): View {
  if (!view.awaiting.some((one) => one.callId === callId)) return view;
  return { ...view, awaiting: view.awaiting.filter((one) => one.callId !== callId) };
}

function foldInput(view: View, data: JsonObject): View {
  const payload = object(data["payload"]);
  if (payload["type"] !== "approval") return view;
  const one: Awaiting = {
    callId: text(data["interrupt_id"]),
    tool: text(payload["tool"]),
    args: payload["arguments"] ?? {},
  };
  const awaiting = [...view.awaiting.filter((other) => other.callId !== one.callId), one];
  return withCall({ ...view, awaiting }, one.callId, (call) => ({ ...call, status: "awaiting" }));
}

/** A snapshot is what the database has: of what it lacks, only answers that are being given are kept. */
function foldValues(view: View, data: JsonObject): View {
  const snapshot = fromWire(data["messages"] ?? []);
  const known = new Map(view.messages.map((message) => [message.id, message]));
  const messages = snapshot.map((message) => {
    const before = known.get(message.id);
    return before?.runId === undefined ? message : { ...message, runId: before.runId };
  });
  const there = new Set(messages.map((message) => message.id));
  const first = messages[0];
  // A snapshot holds the newest messages only: older ones stay.
  const from = first ? view.messages.findIndex((message) => message.id === first.id) : -1;
  const older = from > 0 ? view.messages.slice(0, from).filter((message) => !there.has(message.id)) : [];
  const open = view.messages.filter(
    (message) => !there.has(message.id) && (message.phase === "streaming" || message.phase === "sending"),
  );
  return { ...view, messages: [...older, ...messages, ...open] };
}

function withoutCode(error: string): string {
  return error.replace(/^[a-z_]+: /, "");
}
