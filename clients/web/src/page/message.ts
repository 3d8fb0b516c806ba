/** One message. Its element stays the same as long as the message does, so that folds stay open. */

import type { Block, Message, RunView } from "../client/view";
import { type Rendered, callView } from "./calls";
import { h, icon, place, setText } from "./dom";
import { named, seconds, tokens } from "./format";
import { Markdown, copyButton } from "./markdown";

export interface MessageActions {
  resend: (messageId: string) => void;
  /** A part of an answer is whole: it may be read out. */
  announce: (text: string) => void;
}

interface BlockView {
  kind: Block["kind"];
  element: HTMLElement;
  update: (block: Block, complete: boolean) => void;
}

const LONGEST_ERROR = 1000;
const NAMES: Readonly<Record<Message["role"], string>> = { user: "You", assistant: "Agent", note: "Note" };

export class MessageView {
  readonly element: HTMLElement;
  private readonly body = h("div", { class: "message-body" });
  private readonly foot = h("div", { class: "message-foot" });
  private blocks: BlockView[] = [];
  private shown: Message | null = null;

  constructor(
    message: Message,
    private readonly actions: MessageActions,
  ) {
    const name = h("h3", { class: "speaker" }, NAMES[message.role]);
    this.element = h("article", { class: `message ${message.role}`, "data-id": message.id }, name, this.body, this.foot);
    this.update(message);
  }

  update(message: Message): void {
    if (this.shown === message) return;
    this.shown = message;
    this.element.dataset["phase"] = message.phase;
    message.blocks.forEach((block, index) => {
      const complete = message.phase !== "streaming" || index < message.blocks.length - 1;
      if (this.blocks[index]?.kind !== block.kind) this.blocks[index] = this.blockView(block, message);
      this.blocks[index]?.update(block, complete);
    });
    this.blocks.length = message.blocks.length;
    place(this.body, this.blocks.map((block) => block.element));
    this.foot.replaceChildren(...this.footer(message));
  }

  private footer(message: Message): Node[] {
    if (message.phase === "unsent") {
      const again = () => this.actions.resend(message.id);
      return [
        h("p", { class: "unsent", role: "alert" }, icon("warning"), `Not sent. ${message.error ?? ""}`),
        h("button", { type: "button", class: "secondary", onclick: again }, "Send again"),
      ];
    }
    if (message.phase === "abandoned") {
      return [h("p", { class: "abandoned" }, `This answer broke off${message.error ? `: ${named(message.error, LONGEST_ERROR)}` : ""}`)];
    }
    return [];
  }

  private blockView(block: Block, message: Message): BlockView {
    switch (block.kind) {
      case "text":
        return message.role === "user" ? plainView() : this.markdownView(message.role === "assistant");
      case "reasoning":
        return reasoningView();
      case "image":
        return imageView(block.url);
      case "call": {
        const view: Rendered<typeof block.call> = callView(block.call);
        return {
          kind: "call",
          element: view.element,
          update: (next) => next.kind === "call" && view.update(next.call),
        };
      }
    }
  }

  private markdownView(isAnswer: boolean): BlockView {
    const markdown = new Markdown();
    return {
      kind: "text",
      element: markdown.element,
      update: (block, complete) => {
        const finished = block.kind === "text" ? markdown.update(block.text, complete) : [];
        if (isAnswer) for (const part of finished) this.actions.announce(part);
      },
    };
  }
}

function plainView(): BlockView {
  const element = h("p", { class: "plain" });
  return { kind: "text", element, update: (block) => block.kind === "text" && setText(element, block.text) };
}

function reasoningView(): BlockView {
  const heading = h("span");
  const said = h("p", { class: "plain" });
  const element = h("details", { class: "reasoning" }, h("summary", {}, icon("chevron"), heading), said);
  return {
    kind: "reasoning",
    element,
    update: (block, complete) => {
      if (block.kind !== "reasoning") return;
      setText(heading, complete ? "Thoughts" : "Thinking …");
      setText(said, block.text);
    },
  };
}

function imageView(url: string): BlockView {
  const element = url.startsWith("data:image/")
    ? h("figure", { class: "image" }, h("img", { src: url, alt: "Attached image", loading: "lazy" }))
    : h("p", {}, h("a", { href: safe(url), target: "_blank", rel: "noopener noreferrer" }, "Image"));
  return { kind: "image", element, update: () => undefined };
}

function safe(url: string): string {
  return /^https?:/i.test(url) ? url : "about:blank";
}

/** What is said below the last message of a run: how it ended, how long it took, how much it was. */
export function runFoot(run: RunView, answer: string): HTMLElement {
  const parts: string[] = [];
  if (run.startedAt !== undefined && run.endedAt !== undefined) parts.push(seconds(run.endedAt - run.startedAt));
  if (run.startedAt !== undefined && run.firstTokenAt !== undefined) {
    parts.push(`first word after ${seconds(run.firstTokenAt - run.startedAt)}`);
  }
  if (run.outputTokens > 0) parts.push(`${run.estimated ? "about " : ""}${tokens(run.outputTokens)}`);
  const figures = h("span", { class: "figures" }, parts.join(" · "));
  const end = endOf(run);
  return h("div", { class: "run-foot", "data-run": run.id }, end, figures, answer ? copyButton(answer) : null);
}

function endOf(run: RunView): HTMLElement | null {
  if (run.phase === "stopped") return h("span", { class: "run-stopped" }, icon("stop"), "Stopped");
  if (run.phase !== "failed") return null;
  return h("span", { class: "run-failed" }, icon("warning"), run.error ? `Failed: ${named(run.error, LONGEST_ERROR)}` : "Failed");
}
