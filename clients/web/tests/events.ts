/** Events as the service sends them. */

import type { EventFrame, JsonObject } from "../src/client/protocol";

export const THREAD = "00000000-0000-4000-8000-000000000001";

export function event(seq: number, method: string, runId: string | undefined, data: JsonObject): EventFrame {
  const params = { namespace: [], timestamp: 0, data, ...(runId === undefined ? {} : { run_id: runId }) };
  return { type: "event", event_id: `${THREAD}:${seq}`, seq, prev_seq: seq - 1, method, params };
}

export function lifecycle(seq: number, runId: string, word: string, error?: string): EventFrame {
  return event(seq, "lifecycle", runId, { event: word, ...(error ? { error } : {}) });
}

export function messageStart(seq: number, runId: string, id: string): EventFrame {
  return event(seq, "messages", runId, { event: "message-start", role: "ai", id, metadata: { model: "scripted" } });
}

export function textBlock(seq: number, runId: string, index: number): EventFrame {
  return event(seq, "messages", runId, { event: "content-block-start", index, content: { type: "text", text: "" } });
}

export function delta(seq: number, runId: string, index: number, text: string): EventFrame {
  return event(seq, "messages", runId, { event: "content-block-delta", index, delta: { type: "text-delta", text } });
}
