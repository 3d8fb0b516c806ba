/**
 * What of Markdown an answer may use, as HTML. What a model writes is never trusted: markup of its own stays text, what is
 * nested deeper than DEEPEST stays text, and the parser's time grows with the length of the text only.
 */

import MarkdownIt, { type StateBlock, type StateCore, type StateInline, type Token } from "markdown-it";

/** Levels of tokens: a list in a list is two more. Beyond it every engine's stack and layout are at stake. */
const DEEPEST = 24;
/** Of a text so many characters, blocks, and cells of tables are Markdown; what is beyond is shown as it is. */
const LONGEST = 100_000;
const MOST_BLOCKS = 1000;
const MOST_CELLS = 10_000;
const ADDRESS = /^(?:https?:|mailto:)/i;
const DELIMITERS = /^[\s:-]*\|[\s|:-]*$/;

/** One block at the top: its HTML, or the code and its language of a fenced or indented one, or text as it is. */
export type Piece = { html: string } | { code: string; language: string } | { plain: string };

interface Counted {
  cells?: number;
}

const parser = new MarkdownIt({ html: false, linkify: true });
Object.assign(parser.options, { maxNesting: DEEPEST });
// `README.md` and `3.to` are no addresses.
parser.linkify.set({ fuzzyLink: false, fuzzyEmail: false });
parser.validateLink = (address) => ADDRESS.test(address);

// The parser leaves out what is nested too deeply; a reader has to see it.
const tokenize = parser.block.tokenize.bind(parser.block);
parser.block.tokenize = (state: StateBlock, first: number, end: number) => {
  if (state.level < DEEPEST) tokenize(state, first, end);
  else asItIs(state, first, end);
};

// A row of one character is as many cells as the head has.
parser.block.ruler.before("table", "cells", (state: StateBlock, first: number, end: number, silent: boolean) => {
  const delimiters = first + 1 < end ? state.getLines(first + 1, first + 2, 0, false) : "";
  if (silent || !DELIMITERS.test(delimiters)) return false;
  let last = first;
  while (last < end && !state.isEmpty(last)) last++;
  const env = state.env as Counted;
  env.cells = (env.cells ?? 0) + delimiters.split("|").length * (last - first);
  if (env.cells <= MOST_CELLS) return false;
  asItIs(state, first, last);
  return true;
});

function asItIs(state: StateBlock, first: number, end: number): void {
  const token = state.push("text", "", 0);
  token.content = state.getLines(first, end, state.blkIndent, false);
  token.map = [first, end];
  state.line = end;
}

// An address in an answer must not be fetched by itself: it could carry away what the conversation holds.
parser.renderer.rules["image"] = (tokens, index) => {
  const token = tokens[index] as Token;
  const address = String(token.attrGet("src") ?? "");
  return `<a href="${escape(address)}">${escape(token.content || "image")}</a>`;
};

// In the cells of a table there is no other way to begin a line.
parser.inline.ruler.before("html_inline", "line_break", (state: StateInline, silent: boolean) => {
  const found = /^<br\s{0,9}\/?>/i.exec(state.src.slice(state.pos, state.pos + 16));
  if (!found) return false;
  if (!silent) state.push("hardbreak", "br", 0);
  state.pos += found[0].length;
  return true;
});

parser.core.ruler.before("inline", "tasks", (state: StateCore) => {
  state.tokens.forEach((token, index) => {
    if (token.type !== "inline" || state.tokens[index - 2]?.type !== "list_item_open") return;
    token.content = token.content.replace(/^\[([ xX])\](?= )/, (_, mark) => (mark === " " ? "☐" : "☑"));
  });
});

parser.core.ruler.push("alignment", (state: StateCore) => {
  for (const token of state.tokens) {
    const aligned = /^text-align:(\w+)$/.exec(String(token.attrGet("style") ?? ""));
    if (aligned) token.attrs = [["align", String(aligned[1])]];
  }
});

/** The blocks of a text. */
export function pieces(text: string): Piece[] {
  const known = text.slice(0, LONGEST);
  const beyond = text.slice(LONGEST);
  const env: Counted = {};
  const found: Piece[] = [];
  let open: Token[] = [];
  for (const token of parser.parse(known, env)) {
    if (open.length === 0 && found.length === MOST_BLOCKS) {
      const lines = known.split(/\r\n?|\n/).slice(token.map?.[0]);
      return [...found, { plain: lines.join("\n") + beyond }];
    }
    open.push(token);
    if (token.level > 0 || token.nesting === 1) continue;
    if (token.type === "fence" || token.type === "code_block") found.push({ code: token.content, language: token.info });
    else if (token.type === "text") found.push({ plain: token.content });
    else found.push({ html: parser.renderer.render(open, parser.options, env) });
    open = [];
  }
  return beyond ? [...found, { plain: beyond }] : found;
}

const escape = parser.utils.escapeHtml;
