/** One thread, live: what it shows, and what can be done with it. Knows nothing of how it is shown. */

import type { Api } from "./api";
import type { SocketFactory } from "./connection";
import { RefusedError, SignedOutError } from "./errors";
import { endedRun, fold, wantsState } from "./fold";
import { fromRun, fromStored, withStored } from "./history";
import type { ContentPart, EventFrame, JsonObject, NewMessage, RunRequest, StoredMessage, Thread } from "./protocol";
import { type StreamState, ThreadStream } from "./stream";
import type { Block, Message, View } from "./view";
import { activeRun, EMPTY_VIEW, text as textOf, withMessage, withRun } from "./view";

export interface Snapshot {
  readonly view: View;
  readonly stream: StreamState;
  /** Null until it is known; a thread without messages has been made by nobody yet. */
  readonly thread: Thread | null;
  readonly loaded: boolean;
  readonly stopping: boolean;
  /** What has gone wrong lately, in words for people. */
  readonly problem: string | null;
}

export interface ConversationOptions {
  onChange: (snapshot: Snapshot) => void;
  /** A run has ended, or the thread has got its title: lists of threads are out of date. */
  onThreadChanged: () => void;
  onSignedOut: () => void;
  socket?: SocketFactory;
  now?: () => number;
}

/** The assistant that every account has. */
export const DEFAULT_ASSISTANT = "agent";
/** Messages that are asked for again after a run, at the most. */
const TAIL = 60;
/** An unfinished run that says nothing for so long is asked about: its end may have been announced to nobody. */
const SILENCE_MS = 20_000;
const TITLE_CHARS = 80;

export class Conversation {
  private snapshot: Snapshot = {
    view: EMPTY_VIEW,
    stream: { kind: "connecting" },
    thread: null,
    loaded: false,
    stopping: false,
    problem: null,
  };
  private stored: StoredMessage[] = [];
  private loading: Promise<void> | null = null;
  private loadAgain = false;
  private closed = false;
  /** Nothing is asked of the thread: it is being deleted. */
  private resting = false;
  /** The thread does not exist yet, as far as this page knows. */
  private fresh = false;
  private silence: ReturnType<typeof setTimeout> | undefined;
  private readonly stream: ThreadStream;
  private readonly now: () => number;

  constructor(
    private readonly api: Api,
    readonly threadId: string,
    private readonly options: ConversationOptions,
  ) {
    this.now = options.now ?? Date.now;
    this.stream = new ThreadStream({
      address: () => this.address(),
      onEvent: (frame) => this.take(frame),
      onState: (stream) => this.onStream(stream),
      onLive: () => void this.load(),
      onMissed: () => void this.load(),
      ...(options.socket ? { socket: options.socket } : {}),
    });
  }

  get current(): Snapshot {
    return this.snapshot;
  }

  /** `fresh`: nobody has said anything in the thread yet, so that there is nothing to ask for. */
  open(fresh = false): void {
    if (fresh) this.update({ loaded: true });
    this.fresh = fresh;
    this.stream.start();
    void this.load();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.silence);
    this.stream.close();
  }

  /** Ask for nothing any longer; resolves when nothing is being asked. A deleted thread answers with an error. */
  async rest(): Promise<void> {
    this.resting = true;
    await this.loading;
  }

  /** The thread is still there: ask for what was passed over. */
  resume(): void {
    this.resting = false;
    void this.load();
  }

  /** The page is seen again, or the network is back. */
  wake(): void {
    this.stream.wake();
  }

  /** Say something: the thread's next run. Without `assistantId` whoever answers in this thread. */
  async send(text: string, images: readonly string[], assistantId?: string): Promise<void> {
    const id = crypto.randomUUID();
    const blocks: Block[] = images.map((url) => ({ kind: "image", url }));
    if (text) blocks.push({ kind: "text", text });
    const message: Message = { id, role: "user", blocks, phase: "sending" };
    this.show({ ...this.snapshot.view, messages: [...this.snapshot.view.messages, message], awaiting: [] });
    await this.deliver(message, assistantId);
  }

  /** Say again what could not be said. */
  async resend(messageId: string, assistantId?: string): Promise<void> {
    const message = this.snapshot.view.messages.find((one) => one.id === messageId);
    if (message?.phase !== "unsent") return;
    this.show(withMessage(this.snapshot.view, messageId, (one) => ({ ...one, phase: "sending" })));
    await this.deliver(message, assistantId);
  }

  /** Answer what waits for approval: call id -> whether it may be executed. Who has asked goes on: it has the tool. */
  async decide(decisions: Readonly<Record<string, boolean>>): Promise<void> {
    const before = this.snapshot.view.awaiting;
    this.show({ ...this.snapshot.view, awaiting: [] });
    try {
      const [newest] = await this.api.runs(this.threadId, 1);
      const assistantId = newest?.assistant_id ?? DEFAULT_ASSISTANT;
      await this.start({ assistant_id: assistantId, command: { resume: { ...decisions } } }, crypto.randomUUID());
    } catch (error) {
      this.show({ ...this.snapshot.view, awaiting: before });
      this.fail(error);
    }
  }

  /** Have the active run end as soon as possible. */
  async stop(): Promise<void> {
    const run = activeRun(this.snapshot.view);
    if (!run || this.snapshot.stopping) return;
    this.update({ stopping: true, problem: null });
    try {
      await this.api.cancelRun(this.threadId, run.id);
    } catch (error) {
      this.update({ stopping: false });
      this.fail(error);
    }
    this.watchSilence();
  }

  dismissProblem(): void {
    this.update({ problem: null });
  }

  private async deliver(message: Message, chosen: string | undefined): Promise<void> {
    const isFirst = !this.snapshot.view.messages.some((one) => one.id !== message.id && one.role === "user");
    try {
      const assistantId = chosen ?? (await this.usualAssistant());
      const input: NewMessage = { id: message.id, role: "user", content: contentOf(message.blocks) };
      const request = { assistant_id: assistantId, input: { messages: [input] } };
      const runId = await this.start(request, message.id);
      this.show(withMessage(this.snapshot.view, message.id, (one) => ({ ...one, phase: "done", runId })));
      if (isFirst) await this.describe(message, assistantId);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.show(withMessage(this.snapshot.view, message.id, (one) => ({ ...one, phase: "unsent", error: reason })));
      if (error instanceof SignedOutError) this.options.onSignedOut();
    }
  }

  /** Who answers in this thread. A thread that cannot be asked about is not answered by just anybody: it throws. */
  private async usualAssistant(): Promise<string> {
    const thread = this.snapshot.thread ?? (this.fresh ? null : await this.api.getThread(this.threadId));
    return textOf(thread?.metadata["assistant_id"]) || DEFAULT_ASSISTANT;
  }

  private async start(request: RunRequest, key: string): Promise<string> {
    const run = await this.api.startRun(this.threadId, request, key);
    this.fresh = false;
    const startedAt = this.now();
    const known = this.snapshot.view.runs.get(run.run_id);
    // Its events may have come before the answer.
    const changes = known ? (known.endedAt === undefined ? { startedAt } : {}) : { phase: "queued" as const, startedAt };
    this.show(withRun(this.snapshot.view, run.run_id, changes));
    this.update({ problem: null });
    this.watchSilence();
    return run.run_id;
  }

  /** A new thread is called by what it begins with. */
  private async describe(message: Message, assistantId: string): Promise<void> {
    const said = message.blocks.find((block) => block.kind === "text");
    const title = said?.kind === "text" ? titleOf(said.text) : "An image";
    try {
      const metadata: JsonObject = { title, assistant_id: assistantId };
      this.update({ thread: await this.api.updateThread(this.threadId, metadata) });
      this.options.onThreadChanged();
    } catch (error) {
      this.fail(error);
    }
  }

  private async address(): Promise<string> {
    const { ticket } = await this.api.ticket();
    const base = new URL(this.api.base || "/", location.href);
    base.protocol = base.protocol === "http:" ? "ws:" : "wss:";
    const path = `${base.href.replace(/\/$/, "")}/threads/${this.threadId}/stream/events`;
    return `${path}?ticket=${encodeURIComponent(ticket)}`;
  }

  private take(frame: EventFrame): void {
    this.fresh = false;
    const runId = frame.params.run_id;
    const unknown = runId !== undefined && !this.snapshot.view.runs.has(runId);
    this.show(fold(this.snapshot.view, frame, this.now()));
    this.watchSilence();
    const ended = endedRun(frame);
    if (ended !== undefined) {
      this.update({ stopping: false });
      this.options.onThreadChanged();
    }
    // A run that somebody else has started brings a message that no event tells of.
    if (ended !== undefined || unknown || wantsState(frame)) void this.load();
  }

  private onStream(stream: StreamState): void {
    this.update({ stream });
    if (stream.kind === "signed-out") this.options.onSignedOut();
  }

  /** Ask for what the database has; at most once at a time, and once more if it was wanted meanwhile. */
  private load(): Promise<void> {
    if (this.fresh || this.resting) return Promise.resolve();
    if (this.loading) {
      this.loadAgain = true;
      return this.loading;
    }
    this.loading = this.fetchAll().finally(() => {
      this.loading = null;
      if (this.loadAgain && !this.closed) {
        this.loadAgain = false;
        void this.load();
      }
    });
    return this.loading;
  }

  private async fetchAll(): Promise<void> {
    try {
      // Runs first: what had ended by then has all its messages in what is asked for next.
      const runs = await this.api.runs(this.threadId);
      const offset = Math.max(0, this.stored.length - TAIL);
      const [tail, thread] = await Promise.all([
        this.api.messages(this.threadId, offset),
        this.snapshot.thread ?? this.api.getThread(this.threadId),
      ]);
      if (this.closed) return;
      const fresh = new Set(tail.map((message) => message.message_id));
      this.stored = [...this.stored.slice(0, offset).filter((message) => !fresh.has(message.message_id)), ...tail];
      const view = withStored(this.snapshot.view, fromStored(this.stored), runs.map(fromRun));
      this.update({ view, thread, loaded: true, stopping: this.snapshot.stopping && activeRun(view) !== undefined });
      this.watchSilence();
    } catch (error) {
      if (this.closed) return;
      const missing = error instanceof RefusedError && error.status === 404;
      this.fail(missing ? new Error("This thread does not exist, or not any longer.") : error);
    }
  }

  private watchSilence(): void {
    clearTimeout(this.silence);
    if (this.closed || !activeRun(this.snapshot.view)) return;
    this.silence = setTimeout(() => void this.load().then(() => this.watchSilence()), SILENCE_MS);
  }

  private fail(error: unknown): void {
    if (error instanceof SignedOutError) this.options.onSignedOut();
    else this.update({ problem: error instanceof Error ? error.message : String(error), loaded: true });
  }

  private show(view: View): void {
    this.update({ view });
  }

  private update(changes: Partial<Snapshot>): void {
    if (this.closed) return;
    this.snapshot = { ...this.snapshot, ...changes };
    this.options.onChange(this.snapshot);
  }
}

function contentOf(blocks: readonly Block[]): string | ContentPart[] {
  const parts = blocks.flatMap((block): ContentPart[] => {
    if (block.kind === "image") return [{ type: "image_url", image_url: { url: block.url } }];
    return block.kind === "text" ? [{ type: "text", text: block.text }] : [];
  });
  const [only] = parts;
  return parts.length === 1 && only?.type === "text" ? only.text : parts;
}

export function titleOf(said: string): string {
  const line = said.trim().split("\n", 1)[0]?.replaceAll(/\s+/g, " ") ?? "";
  return line.length <= TITLE_CHARS ? line : `${line.slice(0, TITLE_CHARS - 1).trimEnd()}…`;
}
