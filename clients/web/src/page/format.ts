/** Figures and values in words. */

import type { Json } from "../client/protocol";

export function seconds(ms: number): string {
  const s = Math.max(0, ms) / 1000;
  if (s < 60) return `${s.toFixed(1)} s`;
  const minutes = Math.floor(s / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(s % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function tokens(count: number): string {
  return `${count.toLocaleString("en")} ${count === 1 ? "token" : "tokens"}`;
}

/** Characters that are not seen, and turn or hide others: no value may look like another to somebody who approves it. */
const UNSEEN = /[\p{Cc}\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\u{e0000}-\u{e007f}]/gu;
const LONGEST_NAME = 80;
const LONGEST_SUMMARY = 160;
const DEEPEST = 32;

/** A text with what is not seen in it written out; line ends and tabs stay. */
export function visible(text: string): string {
  return text.replaceAll(UNSEEN, (one) =>
    one === "\n" || one === "\t" ? one : `\\u{${(one.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}}`,
  );
}

/** A name or a sentence in one line, of at most `longest` characters. */
export function named(name: string, longest = LONGEST_NAME): string {
  const line = name.slice(0, longest).replaceAll(/\s+/g, " ");
  return visible(name.length > longest ? `${line}…` : line);
}

/** A tool's name for people: `http_fetch` is "http fetch", an MCP tool is "server: tool". */
export function toolName(name: string): string {
  return named(name.replace("__", ": ").replaceAll("_", " ")) || "tool";
}

/** The beginning of a call's arguments, in one line. */
export function summary(args: Json): string {
  if (typeof args !== "object" || args === null) return args === null ? "" : named(String(args), LONGEST_SUMMARY);
  const values = Object.values(args).map((value) => (typeof value === "string" ? value : json(value)));
  return named(values.join(", "), LONGEST_SUMMARY);
}

/** A value as text: JSON unless it is text. */
export function pretty(value: Json): string {
  return typeof value === "string" ? value : json(value, 2);
}

function json(value: Json, indent?: number): string {
  return JSON.stringify(shallow(value, DEEPEST), null, indent);
}

/** A value without what is nested more than `levels` deep: its text would grow with the square of its depth. */
function shallow(value: Json, levels: number): Json {
  if (typeof value !== "object" || value === null) return value;
  if (levels === 0) return "…";
  if (Array.isArray(value)) return value.map((one) => shallow(one, levels - 1));
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, shallow(one, levels - 1)]));
}

const DAY_MS = 24 * 3600_000;

/** The heading under which a thread is listed. */
export function period(iso: string, now = Date.now()): string {
  const midnight = new Date(now).setHours(0, 0, 0, 0);
  const at = Date.parse(iso);
  if (at >= midnight) return "Today";
  if (at >= midnight - DAY_MS) return "Yesterday";
  if (at >= midnight - 7 * DAY_MS) return "Last 7 days";
  return new Date(at).toLocaleDateString("en", { month: "long", year: "numeric" });
}
