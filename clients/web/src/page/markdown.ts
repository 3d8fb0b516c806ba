/** Markdown as it streams: only blocks that have changed are made anew. What a model writes is never trusted. */

import DOMPurify, { type Config } from "dompurify";
import { Marked, type Token } from "marked";

import { highlight } from "./highlight";
import { h, icon } from "./dom";

const marked = new Marked({
  gfm: true,
  breaks: false,
  renderer: {
    // An address in an answer must not be fetched by itself: it could carry away what the conversation holds.
    image({ href, text: alt }) {
      if (/^data:image\/(?:png|jpeg|gif|webp);/i.test(href)) return `<img src="${escape(href)}" alt="${escape(alt)}">`;
      return `<a href="${escape(href)}">${escape(alt || "image")}</a>`;
    },
    checkbox({ checked }) {
      return checked ? "☑ " : "☐ ";
    },
  },
});

const PURIFY: Config & { RETURN_DOM_FRAGMENT: true } = {
  USE_PROFILES: { html: true },
  FORBID_TAGS: ["style", "form", "input", "button", "textarea", "select", "audio", "video", "picture", "source"],
  FORBID_ATTR: ["style", "id", "name", "srcset"],
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|data:image\/(?:png|jpeg|gif|webp);)/i,
  RETURN_DOM_FRAGMENT: true,
};

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
  if (node.tagName === "IMG" && !node.getAttribute("src")?.startsWith("data:")) node.remove();
});

interface Rendered {
  raw: string;
  whole: boolean;
  element: HTMLElement;
}

export class Markdown {
  readonly element = h("div", { class: "markdown" });
  private blocks: Rendered[] = [];
  private text: string | null = null;
  private complete = false;

  /** Show `text`; `complete`: nothing more will come. Returns the texts of blocks that have become whole. */
  update(text: string, complete: boolean): string[] {
    if (text === this.text && complete === this.complete) return [];
    this.text = text;
    this.complete = complete;
    const tokens = marked.lexer(text).filter((token) => token.type !== "space");
    const finished: string[] = [];
    tokens.forEach((token, index) => {
      const whole = complete || index < tokens.length - 1;
      const before = this.blocks[index];
      if (before?.raw === token.raw && before.whole === whole) return;
      const element = before?.raw === token.raw && token.type !== "code" ? before.element : render(token, whole);
      if (before && before.element !== element) before.element.replaceWith(element);
      else if (!before) this.element.append(element);
      this.blocks[index] = { raw: token.raw, whole, element };
      if (whole) finished.push(element.textContent);
    });
    for (const gone of this.blocks.splice(tokens.length)) gone.element.remove();
    return finished;
  }
}

function render(token: Token, whole: boolean): HTMLElement {
  if (token.type === "code") return codeBlock(String(token["text"]), String(token["lang"] ?? ""), whole);
  const fragment = DOMPurify.sanitize(marked.parser([token]), PURIFY);
  const block = h("div", { class: "block" }, fragment);
  for (const table of block.querySelectorAll("table")) {
    const frame = h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  return block;
}

function codeBlock(code: string, given: string, whole: boolean): HTMLElement {
  const language = given.split(/\s/, 1)[0] ?? "";
  const content = h("code", {}, code);
  if (whole) highlight(content, code, language);
  const label = language ? `Code, ${language}` : "Code";
  return h(
    "figure",
    { class: "code" },
    h("figcaption", {}, h("span", {}, language || "code"), copyButton(code)),
    h("pre", { tabindex: 0, role: "region", "aria-label": label }, content),
  );
}

export function copyButton(text: string): HTMLButtonElement {
  const button = h("button", { type: "button", class: "copy", onclick: () => void copy() }, icon("copy"), "Copy");
  async function copy(): Promise<void> {
    await navigator.clipboard.writeText(text);
    button.replaceChildren(icon("check"), "Copied");
    setTimeout(() => button.replaceChildren(icon("copy"), "Copy"), 1500);
  }
  return button;
}

function escape(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll('"', "&quot;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
