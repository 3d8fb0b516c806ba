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

/** A tool's name for people: `http_fetch` is "http fetch", an MCP tool is "server: tool". */
export function toolName(name: string): string {
  return name.replace("__", ": ").replaceAll("_", " ") || "tool";
}

/** The beginning of a call's arguments, in one line. */
export function summary(args: Json): string {
  if (typeof args !== "object" || args === null) return args === null ? "" : String(args);
  const values = Object.values(args).map((value) => (typeof value === "string" ? value : JSON.stringify(value)));
  return values.join(", ").replaceAll(/\s+/g, " ").slice(0, 160);
}

/** A value as text: JSON unless it is text. */
export function pretty(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2);
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
