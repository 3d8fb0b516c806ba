/** Colours of code, in the languages that answers mostly hold. */

import hljs from "highlight.js/lib/core";
import bash from "highlight.js/lib/languages/bash";
import c from "highlight.js/lib/languages/c";
import cpp from "highlight.js/lib/languages/cpp";
import csharp from "highlight.js/lib/languages/csharp";
import css from "highlight.js/lib/languages/css";
import diff from "highlight.js/lib/languages/diff";
import go from "highlight.js/lib/languages/go";
import java from "highlight.js/lib/languages/java";
import json from "highlight.js/lib/languages/json";
import markdown from "highlight.js/lib/languages/markdown";
import python from "highlight.js/lib/languages/python";
import rust from "highlight.js/lib/languages/rust";
import sql from "highlight.js/lib/languages/sql";
import typescript from "highlight.js/lib/languages/typescript";
import xml from "highlight.js/lib/languages/xml";
import yaml from "highlight.js/lib/languages/yaml";

const LANGUAGES = {
  ...{ bash, c, cpp, csharp, css, diff, go, java, json, markdown, python, rust, sql, typescript, xml, yaml },
};
for (const [name, language] of Object.entries(LANGUAGES)) hljs.registerLanguage(name, language);
hljs.registerAliases(["javascript", "js", "jsx", "ts", "tsx"], { languageName: "typescript" });

/** Beyond this, colouring takes longer than a frame. */
const LONGEST = 40_000;

/** Colour `code` in `element`, if the language is known. */
export function highlight(element: HTMLElement, code: string, language: string): void {
  if (!hljs.getLanguage(language) || code.length > LONGEST) return;
  // highlight.js escapes all that it does not make itself.
  element.innerHTML = hljs.highlight(code, { language, ignoreIllegals: true }).value;
}
