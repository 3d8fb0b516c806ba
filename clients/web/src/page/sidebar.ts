/** The list of threads. */

import type { Thread } from "../client/protocol";
import { text } from "../client/view";
import { h, icon, iconButton, place, setAttribute, setText } from "./dom";
import { named, period } from "./format";

export interface SidebarActions {
  create: () => void;
  open: (threadId: string) => void;
  remove: (thread: Thread) => void;
  close: () => void;
}

interface Row {
  element: HTMLElement;
  link: HTMLAnchorElement;
  title: HTMLElement;
  mark: HTMLElement;
}

const LONGEST_TITLE = 200;

export class Sidebar {
  readonly element: HTMLElement;
  private readonly list = h("nav", { class: "threads", "aria-label": "Threads" });
  private readonly search: HTMLInputElement;
  private readonly empty = h("p", { class: "threads-empty", role: "status" });
  private readonly rows = new Map<string, Row>();
  private threads: readonly Thread[] | null = null;
  private selected: string | null = null;

  constructor(
    private readonly actions: SidebarActions,
    account: HTMLElement,
  ) {
    this.search = h("input", {
      type: "search",
      placeholder: "Search",
      "aria-label": "Search threads",
      autocomplete: "off",
      oninput: () => this.render(),
      onkeydown: (event: KeyboardEvent) => this.onSearchKey(event),
    });
    const hide = iconButton("close", "Close the list of threads", () => actions.close());
    hide.classList.add("narrow-only");
    this.element = h(
      "aside",
      { class: "sidebar", id: "threads", "aria-label": "Threads and account" },
      h("div", { class: "sidebar-head" }, h("span", { class: "brand" }, "Suna"), hide),
      h(
        "button",
        { type: "button", class: "new-thread", title: "New thread (Ctrl+Shift+O)", onclick: () => actions.create() },
        icon("plus"),
        "New thread",
      ),
      h("div", { class: "search" }, icon("search"), this.search),
      this.list,
      this.empty,
      account,
    );
    this.list.addEventListener("keydown", (event) => this.onListKey(event));
  }

  focusSearch(): void {
    this.search.focus();
    this.search.select();
  }

  setThreads(threads: readonly Thread[] | null): void {
    this.threads = threads;
    this.render();
  }

  select(threadId: string | null): void {
    this.selected = threadId;
    this.render();
  }

  /** Put the focus on a thread after one was removed, or on the button above. */
  focusAfterRemoval(): void {
    (this.list.querySelector<HTMLElement>("a") ?? this.element.querySelector<HTMLElement>(".new-thread"))?.focus();
  }

  private render(): void {
    const wanted = this.search.value.trim().toLowerCase();
    const found = (this.threads ?? []).filter((thread) => nameOf(thread).toLowerCase().includes(wanted));
    const sections: HTMLElement[] = [];
    const open = new Map<string, HTMLElement>();
    for (const thread of found) {
      const heading = period(thread.created_at);
      let items = open.get(heading);
      if (!items) {
        items = h("ul");
        open.set(heading, items);
        sections.push(h("section", {}, h("h2", {}, heading), items));
      }
      items.append(this.row(thread).element);
    }
    const focused = document.activeElement;
    place(this.list, sections);
    if (focused instanceof HTMLElement && focused.isConnected && this.list.contains(focused)) focused.focus();
    for (const id of this.rows.keys()) if (!this.threads?.some((thread) => thread.thread_id === id)) this.rows.delete(id);
    this.empty.hidden = found.length > 0;
    setText(this.empty, this.threads === null ? "" : wanted ? "Nothing found" : "Your threads will be here");
  }

  private row(thread: Thread): Row {
    const row = this.rows.get(thread.thread_id) ?? this.newRow(thread);
    this.rows.set(thread.thread_id, row);
    setText(row.title, nameOf(thread));
    setAttribute(row.link, "aria-current", thread.thread_id === this.selected ? "page" : null);
    row.mark.dataset["status"] = thread.status;
    setText(row.mark, thread.status === "busy" ? "running" : thread.status === "interrupted" ? "waits for you" : "");
    return row;
  }

  private newRow(thread: Thread): Row {
    const title = h("span", { class: "thread-title" });
    const mark = h("span", { class: "thread-mark" });
    const link = h("a", { href: `#/t/${thread.thread_id}`, onclick: () => this.actions.open(thread.thread_id) }, title, mark);
    const remove = iconButton("trash", `Delete “${nameOf(thread)}”`, () => this.actions.remove(thread));
    return { element: h("li", {}, link, remove), link, title, mark };
  }

  private onSearchKey(event: KeyboardEvent): void {
    if (event.key === "ArrowDown") {
      event.preventDefault();
      this.list.querySelector<HTMLElement>("a")?.focus();
    } else if (event.key === "Escape" && this.search.value) {
      event.preventDefault();
      this.search.value = "";
      this.render();
    } else if (event.key === "Enter") {
      this.list.querySelector<HTMLElement>("a")?.click();
    }
  }

  private onListKey(event: KeyboardEvent): void {
    if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
    const links = [...this.list.querySelectorAll<HTMLElement>("a")];
    const at = links.indexOf(document.activeElement as HTMLElement);
    if (at < 0) return;
    event.preventDefault();
    const next = links[at + (event.key === "ArrowDown" ? 1 : -1)];
    if (next) next.focus();
    else if (event.key === "ArrowUp") this.search.focus();
  }
}

export function nameOf(thread: Thread): string {
  return named(text(thread.metadata["title"]), LONGEST_TITLE) || "Untitled";
}
