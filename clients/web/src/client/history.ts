/** Messages of the database as people see them: results beside their calls, markup of calls taken out of the text. */

import type { Json, JsonObject, Run, StoredMessage, WireMessage } from "./protocol";
import type { Awaiting, Block, Call, Message, RunPhase, RunView, View } from "./view";
import { isUnfinished, number, object, text } from "./view";

interface Entry {
  id: string;
  type: "user" | "assistant" | "tool" | "note";
  content: JsonObject;
  metadata: JsonObject;
  runId?: string;
}

const WIRE_TYPES: Readonly<Record<string, Entry["type"]>> = { human: "user", ai: "assistant", tool: "tool" };
const XML_BLOCK = /<function_calls>[\s\S]*?(?:<\/function_calls>|$)/g;
const XML_INVOKE = /<invoke\s+name\s*=\s*["']([^"']*)["']\s*>([\s\S]*?)(?:<\/invoke\s*>|$)/g;
const XML_PARAMETER = /<parameter\s+name\s*=\s*["']([^"']*)["']\s*>([\s\S]*?)(?:<\/parameter\s*>|$)/g;
const XML_RESULT = /^<tool_result name="([^"]*)" call_id="([^"]*)">\n([\s\S]*)\n<\/tool_result>$/;

/** The messages of `GET /threads/{id}/messages`. */
export function fromStored(stored: readonly StoredMessage[]): Message[] {
  return build(
    stored.map((message) => ({
      id: message.message_id,
      type: message.type === "summary" || message.type === "system" ? "note" : message.type,
      content: message.content,
      metadata: message.type === "summary" ? { ...message.metadata, summary: true } : message.metadata,
      ...(message.agent_run_id ? { runId: message.agent_run_id } : {}),
    })),
  );
}

/** The messages of a `values` event. */
export function fromWire(given: Json): Message[] {
  const messages = Array.isArray(given) ? (given as unknown as WireMessage[]) : [];
  return build(
    messages.map((message) => {
      const { type, id, ...content } = message;
      return { id, type: WIRE_TYPES[type] ?? "note", content: content as JsonObject, metadata: {} };
    }),
  );
}

function build(entries: readonly Entry[]): Message[] {
  const results = new Map<string, { output: string; success: boolean }>();
  for (const entry of entries) {
    const result = resultOf(entry);
    if (result) results.set(result.callId, result);
  }
  const messages: Message[] = [];
  for (const entry of entries) {
    if (resultOf(entry)) continue;
    const blocks = entry.type === "assistant" ? assistantBlocks(entry, results) : plainBlocks(entry);
    if (blocks.length === 0) continue;
    const output = number(object(entry.metadata["usage"])["output_tokens"]);
    messages.push({
      id: entry.id,
      role: entry.type === "tool" ? "note" : entry.type,
      blocks,
      phase: "done",
      ...(entry.runId ? { runId: entry.runId } : {}),
      ...(text(entry.metadata["model"]) ? { model: text(entry.metadata["model"]) } : {}),
      ...(output ? { outputTokens: output } : {}),
    });
  }
  return messages;
}

function resultOf(entry: Entry): { callId: string; output: string; success: boolean } | null {
  // What people or models say in the form of a result is none.
  if (entry.type !== "tool") return null;
  const content = text(entry.content["content"]);
  const xml = XML_RESULT.exec(content);
  const callId =
    text(entry.metadata["tool_call_id"]) || text(entry.content["tool_call_id"]) || (xml ? (xml[2] ?? "") : "");
  return { callId, output: xml ? (xml[3] ?? "") : content, success: entry.metadata["success"] !== false };
}

function plainBlocks(entry: Entry): Block[] {
  const content = entry.content["content"];
  if (typeof content === "string") {
    const shown = entry.metadata["summary"] ? `**The conversation so far, summarised**\n\n${content}` : content;
    return shown ? [{ kind: "text", text: shown }] : [];
  }
  if (!Array.isArray(content)) return [];
  return content.flatMap((part): Block[] => {
    const { type, text: said, image_url: image, url } = object(part);
    if (type === "text" && typeof said === "string") return [{ kind: "text", text: said }];
    const address = typeof image === "string" ? image : text(object(image)["url"]) || text(url);
    return (type === "image_url" || type === "image") && address ? [{ kind: "image", url: address }] : [];
  });
}

function assistantBlocks(entry: Entry, results: ReadonlyMap<string, { output: string; success: boolean }>): Block[] {
  const blocks: Block[] = [];
  const reasoning = text(entry.metadata["reasoning"]);
  if (reasoning) blocks.push({ kind: "reasoning", text: reasoning });
  const said = text(entry.content["content"]).replaceAll(XML_BLOCK, "\n").trim();
  if (said) blocks.push({ kind: "text", text: said });
  const answered = (call: Omit<Call, "status">): Block => {
    const result = results.get(call.id);
    if (!result) return { kind: "call", call: { ...call, status: "pending" } };
    return { kind: "call", call: { ...call, status: result.success ? "done" : "failed", output: parsed(result.output) } };
  };
  for (const call of nativeCalls(entry)) blocks.push(answered(call));
  for (const call of xmlCalls(entry)) blocks.push(answered(call));
  return blocks;
}

function nativeCalls(entry: Entry): Omit<Call, "status">[] {
  const calls = entry.content["tool_calls"];
  if (!Array.isArray(calls)) return [];
  return calls.map((call) => {
    const { id, function: called } = object(call);
    return { id: text(id), name: text(object(called)["name"]), args: parsed(text(object(called)["arguments"])) };
  });
}

function xmlCalls(entry: Entry): Omit<Call, "status">[] {
  const found: Omit<Call, "status">[] = [];
  for (const [block] of text(entry.content["content"]).matchAll(XML_BLOCK)) {
    for (const [, name = "", body = ""] of block.matchAll(XML_INVOKE)) {
      const args = Object.fromEntries([...body.matchAll(XML_PARAMETER)].map(([, key = "", value = ""]) => [key, value]));
      // Calls are numbered through the message: this is how the service names them.
      found.push({ id: `${entry.id}-x${found.length}`, name, args });
    }
  }
  return found;
}

function parsed(value: string): Json {
  try {
    return JSON.parse(value) as Json;
  } catch {
    return value;
  }
}

const RUN_PHASES: Readonly<Record<Run["status"], RunPhase>> = {
  pending: "queued",
  running: "running",
  success: "completed",
  error: "failed",
  timeout: "failed",
  interrupted: "interrupted",
};

/** Runs as the service lists them; `now` is the clock that running times are counted by (epoch ms). */
export function fromRun(run: Run): RunView {
  const phase = RUN_PHASES[run.status];
  const stopped = phase === "interrupted" && run.error !== null;
  const unfinished = phase === "queued" || phase === "running";
  return {
    id: run.run_id,
    phase: stopped ? "stopped" : phase,
    startedAt: Date.parse(run.created_at),
    inputTokens: number(run.usage?.["input_tokens"]),
    outputTokens: number(run.usage?.["output_tokens"]),
    ...(run.usage?.["estimated"] === true ? { estimated: true } : {}),
    ...(unfinished ? {} : { endedAt: Date.parse(run.updated_at) }),
    ...(run.error ? { error: run.error.message } : {}),
  };
}

/** What the thread waits for, where its newest run was interrupted: calls without a result. */
export function awaitingOf(messages: readonly Message[]): Awaiting[] {
  const last = messages.findLast((message) => message.role === "assistant");
  return (last?.blocks ?? []).flatMap((block) =>
    block.kind === "call" && (block.call.status === "pending" || block.call.status === "awaiting")
      ? [{ callId: block.call.id, tool: block.call.name, args: block.call.args }]
      : [],
  );
}

/**
 * The view with what the database has. Of what it lacks, only messages that are being sent and what came of unfinished
 * runs are kept. `runs` must have been asked for before `messages`: a run that had ended by then has all its messages.
 */
export function withStored(view: View, messages: readonly Message[], runs: readonly RunView[]): View {
  const there = new Set(messages.map((message) => message.id));
  const known = new Map(view.messages.map((message) => [message.id, message]));
  const listed = new Map(runs.map((run) => [run.id, run]));
  const goesOn = ({ runId }: Message) => runId !== undefined && isUnfinished(listed.get(runId) ?? UNLISTED);
  const merged = messages.map((message) => {
    const before = known.get(message.id);
    // The events of an answer that is being given are ahead of the database, unless some were lost.
    const ahead = before?.role === "assistant" && goesOn(before) && (before.phase === "streaming" || !view.gap);
    return before && (ahead || sameAs(before, message)) ? before : message;
  });
  const open = view.messages.filter(
    (message) =>
      !there.has(message.id) && (message.phase === "sending" || message.phase === "unsent" || goesOn(message)),
  );
  const all = [...merged, ...open];
  const latest = runs.reduce<RunView | undefined>(
    (newest, run) => ((run.startedAt ?? 0) >= (newest?.startedAt ?? 0) ? run : newest),
    undefined,
  );
  const awaiting = latest?.phase === "interrupted" ? awaitingOf(all) : [];
  const merging = new Map(view.runs);
  for (const run of runs) merging.set(run.id, joined(merging.get(run.id), run));
  return marked({ ...view, messages: all, runs: merging, awaiting });
}

/** A run that began after the list was made. */
const UNLISTED: RunView = { id: "", phase: "running", inputTokens: 0, outputTokens: 0 };

/** What was seen happen is more exact than what the list of runs says, but for the run's end. */
function joined(seen: RunView | undefined, listed: RunView): RunView {
  if (!seen) return listed;
  const ended = listed.endedAt !== undefined;
  return {
    ...listed,
    phase: ended || seen.endedAt === undefined ? listed.phase : seen.phase,
    ...pick(seen, "startedAt", "firstTokenAt", "endedAt"),
    inputTokens: Math.max(seen.inputTokens, listed.inputTokens),
    outputTokens: Math.max(seen.outputTokens, listed.outputTokens),
    ...(seen.estimated ? { estimated: true } : {}),
    ...(seen.error && !listed.error ? { error: seen.error } : {}),
  };
}

function pick(run: RunView, ...names: ("startedAt" | "firstTokenAt" | "endedAt")[]): Partial<RunView> {
  return Object.fromEntries(names.flatMap((name) => (run[name] === undefined ? [] : [[name, run[name]]])));
}

function marked(view: View): View {
  const waiting = new Set(view.awaiting.map((one) => one.callId));
  const messages = view.messages.map((message) => {
    if (!message.blocks.some((block) => block.kind === "call" && waiting.has(block.call.id))) return message;
    const blocks = message.blocks.map((block): Block =>
      block.kind === "call" && waiting.has(block.call.id)
        ? { kind: "call", call: { ...block.call, status: "awaiting" } }
        : block,
    );
    return { ...message, blocks };
  });
  return { ...view, messages };
}

function sameAs(before: Message, after: Message): boolean {
  return JSON.stringify({ ...before, model: 0 }) === JSON.stringify({ ...after, model: 0 });
}
