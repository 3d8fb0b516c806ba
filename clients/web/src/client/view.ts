/** A thread as people see it. Values are never changed in place: what is the same object has not changed. */

import type { Json, JsonObject } from "./protocol";

export type CallStatus = "pending" | "running" | "done" | "failed" | "awaiting";

export interface Call {
  readonly id: string;
  readonly name: string;
  readonly args: Json;
  readonly status: CallStatus;
  readonly output?: Json;
  /** Epoch ms by this machine's clock, of calls that were seen to run. */
  readonly startedAt?: number;
  readonly endedAt?: number;
}

export type Block =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "reasoning"; readonly text: string }
  | { readonly kind: "image"; readonly url: string }
  | { readonly kind: "call"; readonly call: Call };

/**
 * sending, unsent: a message of the user's that the service has not confirmed, or has refused.
 * streaming: an answer that is being given. abandoned: an answer that broke off; another one follows.
 */
export type Phase = "sending" | "unsent" | "streaming" | "abandoned" | "done";

export interface Message {
  readonly id: string;
  readonly role: "user" | "assistant" | "note";
  readonly blocks: readonly Block[];
  readonly phase: Phase;
  readonly runId?: string;
  readonly model?: string;
  readonly error?: string;
  readonly outputTokens?: number;
}

export type RunPhase = "queued" | "running" | "completed" | "failed" | "stopped" | "interrupted";

export interface RunView {
  readonly id: string;
  readonly phase: RunPhase;
  readonly error?: string;
  /** Epoch ms. */
  readonly startedAt?: number;
  readonly firstTokenAt?: number;
  readonly endedAt?: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Some of the tokens were counted by the service, since a provider has not told its count. */
  readonly estimated?: boolean;
}

/** What a thread is interrupted by: a call that awaits approval, or a question. */
export interface Awaiting {
  readonly callId: string;
  readonly tool: string;
  readonly args: Json;
}

export interface View {
  readonly messages: readonly Message[];
  readonly runs: ReadonlyMap<string, RunView>;
  readonly awaiting: readonly Awaiting[];
  /** Live events were lost; what is shown comes from the thread's messages. */
  readonly gap: boolean;
}

export const EMPTY_VIEW: View = { messages: [], runs: new Map(), awaiting: [], gap: false };

const UNFINISHED: ReadonlySet<RunPhase> = new Set(["queued", "running"]);

export function isUnfinished(run: RunView): boolean {
  return UNFINISHED.has(run.phase);
}

/** The unfinished run that is executed, or else will be next. */
export function activeRun(view: View): RunView | undefined {
  const unfinished = [...view.runs.values()].filter(isUnfinished);
  return unfinished.find((run) => run.phase === "running") ?? unfinished[0];
}

export function withMessage(view: View, id: string, change: (message: Message) => Message): View {
  const index = view.messages.findLastIndex((message) => message.id === id);
  const message = view.messages[index];
  if (!message) return view;
  const changed = change(message);
  return changed === message ? view : { ...view, messages: view.messages.with(index, changed) };
}

export function withRun(view: View, id: string, changes: Partial<RunView>): View {
  const known = view.runs.get(id) ?? { id, phase: "queued", inputTokens: 0, outputTokens: 0 };
  return { ...view, runs: new Map(view.runs).set(id, { ...known, ...changes }) };
}

/** Change a call wherever it stands; the newest message first. */
export function withCall(view: View, callId: string, change: (call: Call) => Call): View {
  for (let index = view.messages.length - 1; index >= 0; index--) {
    const message = view.messages[index] as Message;
    const at = message.blocks.findIndex((block) => block.kind === "call" && block.call.id === callId);
    const block = message.blocks[at];
    if (block?.kind !== "call") continue;
    const blocks = message.blocks.with(at, { kind: "call", call: change(block.call) });
    return { ...view, messages: view.messages.with(index, { ...message, blocks }) };
  }
  return view;
}

export function number(value: Json | undefined): number {
  return typeof value === "number" ? value : 0;
}

export function text(value: Json | undefined): string {
  return typeof value === "string" ? value : "";
}

export function object(value: Json | undefined): JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}
