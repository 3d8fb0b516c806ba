/** The open thread: its messages, what it waits for, how the connection is. */

import type { Conversation, Snapshot } from "../client/conversation";
import type { StreamState } from "../client/stream";
import type { Message, RunView, View } from "../client/view";
import { activeRun, isUnfinished } from "../client/view";
import type { Announcer } from "./announcer";
import { approvals } from "./calls";
import { Composer } from "./composer";
import { h, icon, iconButton, place, setText } from "./dom";
import { seconds } from "./format";
import { MessageView, runFoot } from "./message";

const TICK_MS = 100;
/** So close to its end the list follows what comes. */
const NEAR_PX = 80;
/** A connection that comes back sooner is not worth a word. */
const QUIET_MS = 600;

const SUGGESTIONS = [
  "What can you do, and what can you not do?",
  "Read https://example.com and tell me what it says.",
  "Ask me three questions to plan a weekend trip.",
];

export class Pane {
  readonly element: HTMLElement;
  readonly composer: Composer;
  private readonly list = h("div", { class: "messages" });
  private readonly scroller: HTMLElement;
  private readonly connection = h("div", { class: "connection", role: "status" });
  private readonly problem = h("div", { class: "problem", role: "alert", hidden: true });
  private readonly working = h("div", { class: "working", hidden: true });
  private readonly elapsed = h("span", { class: "figures" });
  private readonly activity = h("span");
  private readonly welcome: HTMLElement;
  private readonly below: HTMLButtonElement;
  private readonly views = new Map<string, MessageView>();
  private readonly feet = new Map<string, { run: RunView; answer: string; element: HTMLElement }>();
  private approval: { key: string; element: HTMLElement } | null = null;
  private snapshot: Snapshot | null = null;
  private frame = 0;
  private follows = true;
  private settled = false;
  private ticking: ReturnType<typeof setInterval> | undefined;
  private quiet: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly conversation: Conversation,
    private readonly assistant: () => string | undefined,
    private readonly announcer: Announcer,
  ) {
    this.composer = new Composer({
      send: (text, images) => this.send(text, images),
      stop: () => void conversation.stop(),
      problem: (message) => this.showProblem(message),
    });
    this.welcome = h(
      "div",
      { class: "welcome", hidden: true },
      h("h2", {}, "What shall we work on?"),
      h(
        "ul",
        {},
        ...SUGGESTIONS.map((text) =>
          h("li", {}, h("button", { type: "button", class: "suggestion", onclick: () => this.send(text, []) }, text)),
        ),
      ),
    );
    this.working.append(h("span", { class: "pulse", "aria-hidden": "true" }), this.activity, this.elapsed);
    this.below = iconButton("down", "Go to the end", () => this.scrollToEnd());
    this.below.classList.add("go-down");
    this.below.hidden = true;
    const content = h("div", { class: "column" }, this.welcome, this.list, this.working);
    this.scroller = h("div", { class: "scroller", tabindex: -1, onscroll: () => this.onScroll() }, content);
    this.element = h(
      "section",
      { class: "pane", "aria-label": "Conversation" },
      this.scroller,
      h("div", { class: "dock column" }, this.below, this.connection, this.problem, this.composer.element),
    );
  }

  /** Show a snapshot, with the next frame. */
  show(snapshot: Snapshot): void {
    this.snapshot = snapshot;
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.render();
    });
  }

  close(): void {
    cancelAnimationFrame(this.frame);
    clearInterval(this.ticking);
    clearTimeout(this.quiet);
  }

  private send(text: string, images: string[]): void {
    this.follows = true;
    void this.conversation.send(text, images, this.assistant());
    this.composer.focus();
  }

  private render(): void {
    const { snapshot } = this;
    if (!snapshot) return;
    const { view } = snapshot;
    const active = activeRun(view);
    place(this.list, this.children(view));
    this.welcome.hidden = !snapshot.loaded || view.messages.length > 0;
    this.renderWorking(view, active);
    this.renderConnection(snapshot.stream);
    this.showProblem(snapshot.problem);
    const asked = !active && view.awaiting.length === 0 && endsWithQuestion(view);
    this.composer.setState({ running: active !== undefined, stopping: snapshot.stopping, asked });
    this.list.setAttribute("aria-busy", String(active !== undefined));
    if (this.follows) this.scrollToEnd();
    if (snapshot.loaded) this.settled = true;
  }

  private children(view: View): HTMLElement[] {
    const children: HTMLElement[] = [];
    const last = lastOfRuns(view.messages);
    const seen = new Set<string>();
    for (const message of view.messages) {
      seen.add(message.id);
      children.push(this.messageElement(message));
      const run = message.runId === undefined ? undefined : view.runs.get(message.runId);
      if (run && last.get(run.id) === message.id && !isUnfinished(run)) children.push(this.foot(run, view.messages));
    }
    for (const id of this.views.keys()) if (!seen.has(id)) this.views.delete(id);
    if (view.gap) children.push(h("p", { class: "gap" }, "Some live events were lost. What you see comes from the saved messages."));
    if (view.awaiting.length > 0) children.push(this.approvalElement(view));
    else this.approval = null;
    return children;
  }

  private messageElement(message: Message): HTMLElement {
    const known = this.views.get(message.id);
    if (known) {
      known.update(message);
      return known.element;
    }
    const view = new MessageView(message, {
      resend: (id) => void this.conversation.resend(id, this.assistant()),
      // What was there before is not read out: only what comes is.
      announce: (text) => this.settled && this.announcer.read(text),
    });
    this.views.set(message.id, view);
    return view.element;
  }

  private foot(run: RunView, messages: readonly Message[]): HTMLElement {
    const answer = answerOf(run.id, messages);
    const known = this.feet.get(run.id);
    if (known?.run === run && known.answer === answer) return known.element;
    const element = runFoot(run, answer);
    this.feet.set(run.id, { run, answer, element });
    return element;
  }

  private approvalElement(view: View): HTMLElement {
    const key = view.awaiting.map((one) => one.callId).join(" ");
    if (this.approval?.key === key) return this.approval.element;
    const element = approvals(view.awaiting, (decisions) => {
      this.follows = true;
      this.composer.focus();
      void this.conversation.decide(decisions);
    });
    this.approval = { key, element };
    this.announcer.say("The agent asks for your approval.");
    return element;
  }

  private renderWorking(view: View, active: RunView | undefined): void {
    this.working.hidden = !active;
    clearInterval(this.ticking);
    if (!active) return;
    const streaming = view.messages.some((message) => message.phase === "streaming" && message.blocks.length > 0);
    const word = this.snapshot?.stopping ? "Stopping" : active.phase === "queued" ? "Queued" : streaming ? "Answering" : "Working";
    setText(this.activity, word);
    const tick = () => setText(this.elapsed, active.startedAt === undefined ? "" : seconds(Date.now() - active.startedAt));
    tick();
    this.ticking = setInterval(tick, TICK_MS);
  }

  private renderConnection(state: StreamState): void {
    clearTimeout(this.quiet);
    const say = (text: string, button?: HTMLElement) => {
      this.connection.replaceChildren(h("span", { class: "dot", "aria-hidden": "true" }), text, ...(button ? [button] : []));
    };
    this.element.dataset["stream"] = state.kind;
    if (state.kind === "waiting") {
      const now = () => this.conversation.wake();
      const button = h("button", { type: "button", class: "link", onclick: now }, "Try now");
      const tick = () => {
        const inS = Math.ceil((state.retryAt - Date.now()) / 1000);
        const when = inS > 0 ? ` Trying again in ${inS} s.` : " Trying again.";
        say(navigator.onLine ? `Not live: ${state.reason}.${when}` : "You are offline. What you see may be out of date.", button);
        this.quiet = setTimeout(tick, 1000);
      };
      this.quiet = setTimeout(tick, state.attempt > 1 ? 0 : QUIET_MS);
    } else if (state.kind === "connecting") {
      this.quiet = setTimeout(() => say("Connecting …"), QUIET_MS);
    } else {
      this.connection.replaceChildren();
    }
  }

  showProblem(message: string | null): void {
    this.problem.hidden = message === null;
    if (message === null) return;
    const dismiss = () => {
      this.conversation.dismissProblem();
      this.composer.focus();
    };
    this.problem.replaceChildren(icon("warning"), h("span", {}, message), iconButton("close", "Dismiss", dismiss));
  }

  private onScroll(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    this.follows = scrollHeight - scrollTop - clientHeight < NEAR_PX;
    this.below.hidden = this.follows;
  }

  private scrollToEnd(): void {
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}

/** Run id -> the id of its last message. */
function lastOfRuns(messages: readonly Message[]): Map<string, string> {
  const last = new Map<string, string>();
  for (const message of messages) if (message.runId !== undefined) last.set(message.runId, message.id);
  return last;
}

function answerOf(runId: string, messages: readonly Message[]): string {
  return messages
    .filter((message) => message.runId === runId && message.role === "assistant" && message.phase === "done")
    .flatMap((message) => message.blocks.flatMap((block) => (block.kind === "text" ? [block.text] : [])))
    .join("\n\n");
}

function endsWithQuestion(view: View): boolean {
  const block = view.messages.at(-1)?.blocks.at(-1);
  return block?.kind === "call" && block.call.name === "ask";
}
