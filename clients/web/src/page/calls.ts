/** Calls of tools: folded to one line, with arguments and result inside; questions and approvals in full. */

import type { Awaiting, Call } from "../client/view";
import { object, text } from "../client/view";
import { h, icon, setText } from "./dom";
import { pretty, seconds, summary, toolName, visible } from "./format";
import { Markdown } from "./markdown";

const STATES: Readonly<Record<Call["status"], string>> = {
  pending: "waiting",
  running: "running",
  done: "done",
  failed: "failed",
  awaiting: "needs your approval",
};
/** What of a result is shown; the whole of it may be megabytes. */
const LONGEST_OUTPUT = 20_000;

export interface Rendered<T> {
  element: HTMLElement;
  update: (value: T) => void;
}

/** A call as the conversation shows it. */
export function callView(call: Call): Rendered<Call> {
  return call.name === "ask" ? question(call) : folded(call);
}

function question(first: Call): Rendered<Call> {
  const markdown = new Markdown();
  const element = h("section", { class: "question", "aria-label": "Question to you" }, markdown.element);
  const update = (call: Call) => void markdown.update(text(object(call.args)["text"]), true);
  update(first);
  return { element, update };
}

function folded(first: Call): Rendered<Call> {
  const dot = h("span", { class: "dot", "aria-hidden": "true" });
  const name = h("span", { class: "call-name" });
  const about = h("span", { class: "call-about" });
  const state = h("span", { class: "call-state" });
  const body = h("div", { class: "call-body" });
  const heading = h("summary", {}, dot, name, about, state, icon("chevron"));
  const element = h("details", { class: "call" }, heading, body);
  let shown: Call | null = null;
  let current = first;
  const fill = () => {
    if (!element.open || shown === current) return;
    shown = current;
    body.replaceChildren(...details(current));
  };
  element.addEventListener("toggle", fill);
  const update = (call: Call) => {
    current = call;
    element.dataset["status"] = call.status;
    setText(name, toolName(call.name));
    setText(about, summary(call.args));
    setText(state, stateOf(call));
    fill();
  };
  update(first);
  return { element, update };
}

function stateOf(call: Call): string {
  const took = call.startedAt !== undefined && call.endedAt !== undefined ? call.endedAt - call.startedAt : null;
  if (took === null || call.status === "running") return STATES[call.status];
  return call.status === "failed" ? `failed after ${seconds(took)}` : seconds(took);
}

function details(call: Call): HTMLElement[] {
  const parts = [part("Arguments", pretty(call.args))];
  if (call.output !== undefined) parts.push(part(call.status === "failed" ? "Error" : "Result", pretty(call.output)));
  return parts;
}

function part(title: string, content: string): HTMLElement {
  const cut = content.length > LONGEST_OUTPUT;
  const beginning = visible(content.slice(0, LONGEST_OUTPUT));
  const shown = cut ? `${beginning}\n… ${content.length - LONGEST_OUTPUT} more characters` : beginning;
  return h(
    "div",
    { class: "call-part" },
    h("h4", {}, title),
    h("pre", { tabindex: 0, role: "region", "aria-label": title }, shown),
  );
}

/** What has to be decided before the agent goes on; `decide` is called once everything is. */
export function approvals(
  awaiting: readonly Awaiting[],
  decide: (decisions: Record<string, boolean>) => void,
): HTMLElement {
  // Not an object's keys: the ids are whatever the model has made them.
  const decisions = new Map<string, boolean>();
  const rows = awaiting.map((one) => {
    const verdict = h("p", { class: "verdict", hidden: true });
    const buttons = h("div", { class: "buttons" });
    const choose = (approved: boolean) => {
      decisions.set(one.callId, approved);
      buttons.hidden = true;
      verdict.hidden = false;
      setText(verdict, approved ? "Approved" : "Declined");
      if (decisions.size === awaiting.length) decide(Object.fromEntries(decisions));
      else section.querySelector<HTMLButtonElement>(".buttons:not([hidden]) .primary")?.focus();
    };
    buttons.append(
      h("button", { type: "button", class: "primary", onclick: () => choose(true) }, icon("check"), "Approve"),
      h("button", { type: "button", class: "secondary", onclick: () => choose(false) }, icon("close"), "Decline"),
    );
    return h(
      "li",
      {},
      h("div", { class: "approval-call" }, h("strong", {}, toolName(one.tool)), part("Arguments", pretty(one.args))),
      buttons,
      verdict,
    );
  });
  const heading = awaiting.length === 1 ? "The agent asks to do this" : `The agent asks to do ${awaiting.length} things`;
  const section = h(
    "section",
    { class: "approval", "aria-label": "Approval needed" },
    h("h3", {}, icon("warning"), heading),
    h("ul", {}, ...rows),
    h("p", { class: "hint" }, "If you write a message instead, nothing of it is done."),
  );
  return section;
}
