/** What a screen reader is told: parts of the answer as they become whole, and turns in what goes on. */

import { h } from "./dom";

/** Announcements that stay in the log. */
const KEPT = 30;

export class Announcer {
  private readonly log = h("div", { role: "log", "aria-live": "polite", "aria-label": "Answer", class: "visually-hidden" });
  private readonly status = h("div", { role: "status", class: "visually-hidden" });

  constructor(parent: HTMLElement) {
    parent.append(this.log, this.status);
  }

  /** A part of the answer. */
  read(text: string): void {
    if (!text.trim()) return;
    this.log.append(h("p", {}, text));
    while (this.log.childElementCount > KEPT) this.log.firstElementChild?.remove();
  }

  /** A turn: it has begun, it has ended, something is wanted. */
  say(text: string): void {
    this.status.textContent = text;
  }

  clear(): void {
    this.log.replaceChildren();
    this.status.textContent = "";
  }
}
