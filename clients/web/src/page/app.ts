/** The page once somebody is signed in: threads on the left, one of them open. */

import type { Api } from "../client/api";
import { Conversation, DEFAULT_ASSISTANT } from "../client/conversation";
import { RefusedError, SignedOutError } from "../client/errors";
import type { Account } from "../client/oidc";
import type { Assistant, Thread } from "../client/protocol";
import { text } from "../client/view";
import { Announcer } from "./announcer";
import { confirm, showShortcuts } from "./dialogs";
import { h, icon, iconButton, setText } from "./dom";
import { named } from "./format";
import { Pane } from "./pane";
import { Sidebar, nameOf } from "./sidebar";
import { THEMES, THEME_ICONS, setTheme, theme } from "./theme";

export interface AppActions {
  signOut: () => void;
  onSignedOut: () => void;
}

const THREADS_PAGE = 200;
const MOST_THREADS = 1000;
const ROUTE = /^#\/t\/([0-9a-f-]{36})$/;

interface Open {
  conversation: Conversation;
  pane: Pane;
  busy: boolean;
  /** The address names the thread. */
  named: boolean;
  /** Who was chosen to answer, if somebody was. */
  assistant: string | undefined;
}

export class App {
  readonly element: HTMLElement;
  private readonly sidebar: Sidebar;
  private readonly announcer: Announcer;
  private readonly title = h("h1", {});
  private readonly assistantSelect: HTMLSelectElement;
  private readonly main = h("main", {});
  private readonly remove: HTMLButtonElement;
  private readonly abort = new AbortController();
  private threads: Thread[] = [];
  private assistants: Assistant[] = [];
  private open: Open | null = null;
  private listing = false;
  private listAgain = false;

  constructor(
    private readonly api: Api,
    account: Account,
    private readonly actions: AppActions,
  ) {
    this.sidebar = new Sidebar(
      {
        create: () => this.create(),
        open: () => this.showSidebar(false),
        remove: (thread) => void this.removeThread(thread),
        close: () => this.showSidebar(false),
      },
      this.accountMenu(account),
    );
    this.assistantSelect = h("select", { "aria-label": "Assistant", hidden: true });
    this.assistantSelect.addEventListener("change", () => {
      if (this.open) this.open.assistant = this.assistantSelect.value;
    });
    this.remove = iconButton("trash", "Delete this thread", () => {
      const thread = this.threads.find((one) => one.thread_id === this.open?.conversation.threadId);
      if (thread) void this.removeThread(thread);
    });
    const show = iconButton("menu", "Show threads", () => this.showSidebar(true));
    show.classList.add("narrow-only");
    show.setAttribute("aria-controls", "threads");
    const header = h("header", {}, show, this.title, this.assistantSelect, this.remove);
    this.main.append(header);
    const shade = h("div", { class: "shade", onclick: () => this.showSidebar(false) });
    this.element = h("div", { class: "app" }, this.sidebar.element, shade, this.main);
    this.announcer = new Announcer(this.element);
    this.listen();
  }

  start(): void {
    this.route();
    void this.list();
    void this.listAssistants();
  }

  close(): void {
    this.abort.abort();
    this.leave();
    this.element.remove();
  }

  private listen(): void {
    const { signal } = this.abort;
    window.addEventListener("hashchange", () => this.route(), { signal });
    window.addEventListener("online", () => this.open?.conversation.wake(), { signal });
    window.addEventListener("keydown", (event) => this.onKey(event), { signal });
    document.addEventListener(
      "visibilitychange",
      () => {
        if (document.visibilityState !== "visible") return;
        this.open?.conversation.wake();
        void this.list();
      },
      { signal },
    );
    matchMedia("(max-width: 760px)").addEventListener("change", () => this.showSidebar(false), { signal });
  }

  private onKey(event: KeyboardEvent): void {
    const command = event.ctrlKey || event.metaKey;
    if (command && !event.shiftKey && event.key.toLowerCase() === "k") {
      event.preventDefault();
      this.showSidebar(true);
      this.sidebar.focusSearch();
    } else if (command && event.shiftKey && event.key.toLowerCase() === "o") {
      event.preventDefault();
      this.create();
    } else if (event.key === "Escape" && this.element.classList.contains("with-sidebar")) {
      this.showSidebar(false);
    }
  }

  private showSidebar(shown: boolean): void {
    const narrow = matchMedia("(max-width: 760px)").matches;
    const was = this.element.classList.contains("with-sidebar");
    const now = shown && narrow;
    this.element.classList.toggle("with-sidebar", now);
    this.sidebar.element.inert = narrow && !now;
    this.main.inert = now;
    if (now && !was) this.sidebar.focusSearch();
    else if (was && !now) this.main.querySelector<HTMLElement>("header .icon-button")?.focus();
  }

  private create(): void {
    this.showSidebar(false);
    if (ROUTE.test(location.hash)) history.pushState(null, "", "#/");
    this.enter(crypto.randomUUID(), true);
  }

  private route(): void {
    const threadId = ROUTE.exec(location.hash)?.[1];
    if (threadId !== undefined && threadId === this.open?.conversation.threadId) return;
    if (threadId === undefined) this.enter(crypto.randomUUID(), true);
    else this.enter(threadId, false);
  }

  private enter(threadId: string, fresh: boolean): void {
    this.leave();
    this.announcer.clear();
    const conversation: Conversation = new Conversation(this.api, threadId, {
      onChange: () => this.refresh(),
      onThreadChanged: () => void this.list(),
      onSignedOut: () => this.actions.onSignedOut(),
    });
    const pane = new Pane(conversation, () => this.open?.assistant, this.announcer);
    const assistant = fresh ? this.assistantSelect.value || undefined : undefined;
    this.open = { conversation, pane, busy: false, named: !fresh, assistant };
    this.main.append(pane.element);
    this.chooseAssistant(undefined);
    this.sidebar.select(threadId);
    this.showSidebar(false);
    conversation.open(fresh);
    this.refresh();
    // On a phone this would bring up the keyboard before anything can be read.
    if (matchMedia("(pointer: fine)").matches) pane.composer.focus();
  }

  private leave(): void {
    this.open?.conversation.close();
    this.open?.pane.close();
    this.open?.pane.element.remove();
    this.open = null;
  }

  private refresh(): void {
    if (!this.open) return;
    const { conversation, pane } = this.open;
    const { current } = conversation;
    pane.show(current);
    if (current.thread) this.chooseAssistant(text(current.thread.metadata["assistant_id"]));
    const title = current.thread ? nameOf(current.thread) : "New thread";
    setText(this.title, title);
    document.title = `${title} · Suna`;
    this.remove.hidden = current.thread === null;
    // The address names the thread once there is something in it.
    if (current.view.messages.length > 0 && !this.open.named) {
      this.open.named = true;
      history.replaceState(null, "", `#/t/${conversation.threadId}`);
      this.sidebar.select(conversation.threadId);
    }
    const busy = [...current.view.runs.values()].some((run) => run.phase === "running" || run.phase === "queued");
    if (busy !== this.open.busy) {
      this.open.busy = busy;
      if (current.loaded) this.announcer.say(busy ? "The agent is working." : this.endOf(current.view.runs));
    }
  }

  private endOf(runs: ReadonlyMap<string, { phase: string }>): string {
    const phase = [...runs.values()].at(-1)?.phase;
    const words: Record<string, string> = { stopped: "Stopped.", failed: "The run has failed.", interrupted: "The agent waits for you." };
    return words[phase ?? ""] ?? "The answer is complete.";
  }

  /** Ask for the threads; at most once at a time, and once more if something changed meanwhile. */
  private async list(): Promise<void> {
    this.listAgain = true;
    if (this.listing) return;
    this.listing = true;
    try {
      while (this.listAgain) {
        this.listAgain = false;
        this.threads = await this.allThreads();
        this.sidebar.setThreads(this.threads);
      }
    } catch (error) {
      this.failed(error);
    } finally {
      this.listing = false;
    }
  }

  private async allThreads(): Promise<Thread[]> {
    const all: Thread[] = [];
    while (all.length < MOST_THREADS) {
      const page = await this.api.searchThreads(THREADS_PAGE, all.length);
      all.push(...page);
      if (page.length < THREADS_PAGE) break;
    }
    return all;
  }

  private async listAssistants(): Promise<void> {
    try {
      this.assistants = await this.api.searchAssistants();
    } catch (error) {
      this.failed(error);
    }
    const options = this.assistants.map((one) => h("option", { value: one.assistant_id }, named(one.name)));
    this.assistantSelect.replaceChildren(h("option", { value: DEFAULT_ASSISTANT }, "Default"), ...options);
    this.assistantSelect.hidden = options.length === 0;
    this.chooseAssistant(text(this.open?.conversation.current.thread?.metadata["assistant_id"]));
  }

  /** The thread's assistant; what somebody has chosen since stays chosen. */
  private chooseAssistant(wanted: string | undefined): void {
    const key = `${this.open?.conversation.threadId}:${wanted ?? ""}`;
    if (this.assistantSelect.dataset["chosen"] === key) return;
    const known = [...this.assistantSelect.options].some((option) => option.value === wanted);
    if (wanted && !known) return;
    this.assistantSelect.dataset["chosen"] = key;
    if (wanted) this.assistantSelect.value = wanted;
  }

  private async removeThread(thread: Thread): Promise<void> {
    const name = nameOf(thread);
    if (!(await confirm(`Delete “${name}”?`, "Its messages are gone then, for good.", "Delete"))) return;
    const shown = this.open?.conversation;
    const conversation = shown?.threadId === thread.thread_id ? shown : undefined;
    await conversation?.rest();
    try {
      await this.api.deleteThread(thread.thread_id);
    } catch (error) {
      if (!(error instanceof RefusedError && error.status === 404)) {
        conversation?.resume();
        return this.failed(error);
      }
    }
    this.threads = this.threads.filter((one) => one.thread_id !== thread.thread_id);
    this.sidebar.setThreads(this.threads);
    // A list that was asked for before still has it.
    if (this.listing) this.listAgain = true;
    this.announcer.say(`“${name}” is deleted.`);
    if (this.open?.conversation.threadId === thread.thread_id) this.create();
    else this.sidebar.focusAfterRemoval();
  }

  private failed(error: unknown): void {
    if (error instanceof SignedOutError) this.actions.onSignedOut();
    else this.announcer.say(error instanceof Error ? error.message : String(error));
    if (this.open && !(error instanceof SignedOutError)) {
      this.open.pane.showProblem(error instanceof Error ? error.message : String(error));
    }
  }

  private accountMenu(account: Account): HTMLElement {
    const button = h("button", { type: "button", class: "theme" });
    const showTheme = () => {
      const current = theme();
      button.replaceChildren(icon(THEME_ICONS[current]), `Theme: ${current}`);
    };
    button.addEventListener("click", () => {
      setTheme(THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length] ?? "system");
      showTheme();
    });
    showTheme();
    return h(
      "footer",
      { class: "account" },
      button,
      h("button", { type: "button", onclick: showShortcuts }, icon("keyboard"), "Keyboard"),
      h(
        "button",
        { type: "button", onclick: () => this.actions.signOut(), title: "Sign out" },
        icon("signOut"),
        h("span", { class: "account-name" }, `Sign out ${account.name}`),
      ),
    );
  }
}
