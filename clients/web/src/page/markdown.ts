/** Markdown as it streams: only blocks that have changed are made anew. What a model writes is never trusted. */

import DOMPurify, { type Config } from "dompurify";

import { highlight } from "./highlight";
import { h, icon } from "./dom";
import { type Piece, pieces } from "./syntax";

/** No class, id or style: what is said cannot look like what the page says, nor be taken for it by the page's code. */
const ALLOWED: Config & { RETURN_DOM_FRAGMENT: true } = {
  ALLOWED_TAGS: [
    ..."a blockquote br code em h1 h2 h3 h4 h5 h6 hr li ol p pre s strong".split(" "),
    ..."table tbody td th thead tr ul #text".split(" "),
  ],
  ALLOWED_ATTR: ["align", "href", "start", "target", "rel"],
  ALLOW_ARIA_ATTR: false,
  ALLOW_DATA_ATTR: false,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:)/i,
  RETURN_DOM_FRAGMENT: true,
};

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.tagName === "A") {
    node.setAttribute("target", "_blank");
    node.setAttribute("rel", "noopener noreferrer");
  }
});

interface Rendered {
  source: string;
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
    const found = pieces(text);
    const finished: string[] = [];
    found.forEach((piece, index) => {
      const whole = complete || index < found.length - 1;
      const source = JSON.stringify(piece);
      const before = this.blocks[index];
      if (before?.source === source && before.whole === whole) return;
      const element = before?.source === source && !("code" in piece) ? before.element : render(piece, whole);
      if (before && before.element !== element) before.element.replaceWith(element);
      else if (!before) this.element.append(element);
      this.blocks[index] = { source, whole, element };
      if (whole) finished.push(element.textContent);
    });
    for (const gone of this.blocks.splice(found.length)) gone.element.remove();
    return finished;
  }
}

function render(piece: Piece, whole: boolean): HTMLElement {
  if ("plain" in piece) return h("p", { class: "plain" }, piece.plain);
  if ("code" in piece) return codeBlock(piece.code.replace(/\n$/, ""), piece.language, whole);
  const block = h("div", { class: "block" }, DOMPurify.sanitize(piece.html, ALLOWED));
  for (const table of block.querySelectorAll("table")) {
    const frame = h("div", { class: "table-frame", tabindex: 0, role: "region", "aria-label": "Table" });
    table.replaceWith(frame);
    frame.append(table);
  }
  return block;
}

function codeBlock(code: string, given: string, whole: boolean): HTMLElement {
  const language = /^[\w+#.-]{1,24}(?=\s|$)/.exec(given)?.[0] ?? "";
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
