/** The wire: the Agent Streaming Protocol over WebSocket, and what REST answers. */

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** One event of a thread. `seq` is its number in the thread; what concerns only this connection has none. */
export interface EventFrame {
  type: "event";
  event_id?: string;
  seq?: number;
  prev_seq?: number;
  method: string;
  params: { namespace?: string[]; timestamp?: number; run_id?: string; data: JsonObject };
}

export interface SuccessFrame {
  type: "success";
  id: number;
  result: JsonObject;
}

export interface ErrorFrame {
  type: "error";
  id: number | null;
  error: string;
  message: string;
}

export type Frame = EventFrame | SuccessFrame | ErrorFrame;

/** Every channel that the page shows something of. */
export const CHANNELS = ["lifecycle", "messages", "tools", "input", "values", "custom"] as const;

export type ThreadStatus = "idle" | "busy" | "interrupted" | "error";
export type RunStatus = "pending" | "running" | "success" | "error" | "timeout" | "interrupted";

export interface Thread {
  thread_id: string;
  created_at: string;
  updated_at: string;
  metadata: JsonObject;
  status: ThreadStatus;
}

export interface Run {
  run_id: string;
  thread_id: string;
  assistant_id: string;
  created_at: string;
  updated_at: string;
  status: RunStatus;
  error: { code: string; message: string } | null;
  usage: JsonObject | null;
}

export interface Assistant {
  assistant_id: string;
  name: string;
  description: string | null;
}

/** A message as `GET /threads/{id}/messages` shows it. */
export interface StoredMessage {
  message_id: string;
  type: "user" | "assistant" | "tool" | "system" | "summary";
  content: JsonObject;
  metadata: JsonObject;
  agent_run_id: string | null;
  created_at: string;
}

/** A message as a `values` event shows it. */
export interface WireMessage {
  type: string;
  content: Json;
  id: string;
  tool_calls?: Json;
  tool_call_id?: string;
  name?: string;
  [key: string]: Json | undefined;
}

export type ContentPart = { type: "text"; text: string } | { type: "image_url"; image_url: { url: string } };

export interface NewMessage {
  id: string;
  role: "user";
  content: string | ContentPart[];
}

export interface RunRequest {
  assistant_id: string;
  input?: { messages: NewMessage[] };
  command?: { resume: Json };
}

/** The frame that `text` is; null for anything that the protocol does not know. */
export function parseFrame(text: string): Frame | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isObject(value)) return null;
  if (value["type"] === "event") {
    return isObject(value["params"]) && isObject(value["params"]["data"]) ? (value as unknown as EventFrame) : null;
  }
  return value["type"] === "success" || value["type"] === "error" ? (value as unknown as Frame) : null;
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
