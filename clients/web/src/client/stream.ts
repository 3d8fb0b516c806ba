/**
 * A thread's events, over as many connections as it takes.
 *
 * Each event is given out once and in order: connections are reopened after the last event seen (`since`), and what a
 * connection repeats is passed over. A thread that was deleted and made again has another log, whose numbers begin anew:
 * nothing of it counts as seen. Before a connection reaches its longest life (2 h) the stream moves to the next one
 * without a gap.
 */

import { backoffMs } from "./backoff";
import { CommandError, Connection, type Ended, type SocketFactory } from "./connection";
import { SignedOutError } from "./errors";
import type { EventFrame } from "./protocol";
import { isObject } from "./protocol";

export type StreamState =
  | { kind: "connecting" }
  | { kind: "live" }
  | { kind: "waiting"; attempt: number; retryAt: number; reason: string }
  | { kind: "signed-out" }
  | { kind: "closed" };

export interface StreamOptions {
  /** The address to connect to, with a ticket that is good for one handshake. */
  address: () => Promise<string>;
  onEvent: (frame: EventFrame) => void;
  onState: (state: StreamState) => void;
  /** The subscription stands (again). `resumed`: it goes on after the last event seen, so that nothing is missing. */
  onLive: (resumed: boolean) => void;
  /** Events are missing, and nobody has said so. */
  onMissed: () => void;
  socket?: SocketFactory;
  pingEveryMs?: number;
  pingAnswerMs?: number;
  moveAfterMs?: number;
  backoff?: (attempt: number) => number;
}

/** The event by which a connection's end is announced: `{"name": EXPIRING, "payload": {"expires_at": epoch ms}}`. */
export const EXPIRING = "connection_expiring";

/** The gateway ends a connection that is idle for ten minutes; control frames may not count. */
const PING_EVERY_MS = 5 * 60_000;
/** A connection lives for two hours at most. We move before that, announced or not. */
const MOVE_AFTER_MS = 110 * 60_000;
const PING_ANSWER_MS = 10_000;
const LIVE_FOR_MS = 10_000;

/** The last event that was given out. */
interface Cursor {
  seq: number;
  id: string | undefined;
}

export class ThreadStream {
  private cursor: Cursor | undefined;
  private current: Connection | null = null;
  private state: StreamState = { kind: "connecting" };
  private closed = false;
  private moving = false;
  private wakeUp: (() => void) | null = null;
  private readonly timers = new Set<ReturnType<typeof setTimeout>>();
  private readonly socket: SocketFactory;
  private readonly backoff: (attempt: number) => number;
  private readonly pingAnswerMs: number;

  constructor(private readonly options: StreamOptions) {
    this.socket = options.socket ?? ((url) => new WebSocket(url));
    this.backoff = options.backoff ?? backoffMs;
    this.pingAnswerMs = options.pingAnswerMs ?? PING_ANSWER_MS;
  }

  /** Connect, and stay connected until `close`. */
  start(): void {
    void this.run();
  }

  close(): void {
    this.closed = true;
    this.clearTimers();
    this.current?.close();
    this.wakeUp?.();
    this.tell({ kind: "closed" });
  }

  /** The page is seen again, or the network is back: do not wait any longer, and trust no old connection. */
  wake(): void {
    if (this.wakeUp) this.wakeUp();
    else void this.current?.ping(this.pingAnswerMs);
  }

  private async run(): Promise<void> {
    let attempt = 0;
    while (!this.closed) {
      let reason: string;
      try {
        if (attempt === 0) this.tell({ kind: "connecting" });
        const connection = await this.connect();
        const liveAt = Date.now();
        const end = await this.follow(connection);
        if (Date.now() - liveAt > LIVE_FOR_MS) attempt = 0;
        reason = describe(end);
      } catch (error) {
        if (error instanceof SignedOutError) {
          this.tell({ kind: "signed-out" });
          return;
        }
        reason = error instanceof Error ? error.message : String(error);
      }
      if (this.closed) return;
      attempt += 1;
      const delayMs = this.backoff(attempt);
      this.tell({ kind: "waiting", attempt, retryAt: Date.now() + delayMs, reason });
      await this.pause(delayMs);
    }
  }

  /** Open a connection and subscribe after the last event seen. */
  private async connect(): Promise<Connection> {
    const url = await this.options.address();
    if (this.closed) throw new Error("closed");
    const connection = new Connection(url, this.socket, (frame) => this.take(frame));
    try {
      await connection.open();
      const resumed = await this.subscribe(connection);
      if (this.closed) throw new Error("closed");
      this.current = connection;
      this.schedule(connection);
      this.tell({ kind: "live" });
      this.options.onLive(resumed);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  private async subscribe(connection: Connection): Promise<boolean> {
    const since = this.cursor?.id ?? this.cursor?.seq;
    try {
      await connection.subscribe(since);
      return since !== undefined;
    } catch (error) {
      if (since === undefined || !(error instanceof CommandError) || error.code !== "invalid_argument") throw error;
      // The event means nothing to the service any more; what was missed is among the thread's messages.
      this.cursor = undefined;
      await connection.subscribe(undefined);
      return false;
    }
  }

  /** Wait until the stream has no connection left; moves to another one do not end it. */
  private async follow(connection: Connection): Promise<Ended> {
    for (;;) {
      const end = await connection.ended;
      const next = this.current;
      if (next === null || next === connection) {
        this.current = null;
        this.clearTimers();
        return end;
      }
      connection = next;
    }
  }

  /** Open the next connection while this one still delivers. If that fails, this one's end will reconnect. */
  private async move(from: Connection): Promise<void> {
    if (this.moving || this.closed || this.current !== from) return;
    this.moving = true;
    this.clearTimers();
    try {
      await this.connect();
      from.close();
    } catch {
      if (this.current === from) this.schedule(from);
    } finally {
      this.moving = false;
    }
  }

  private take(frame: EventFrame): void {
    if (this.closed) return;
    if (expiry(frame)) {
      if (this.current) void this.move(this.current);
      return;
    }
    if (this.cursor?.id && frame.event_id && logOf(frame.event_id) !== logOf(this.cursor.id)) {
      // What is shown is of the thread that was there before.
      this.cursor = undefined;
      this.options.onMissed();
    }
    if (frame.seq !== undefined) {
      if (this.cursor !== undefined) {
        if (frame.seq <= this.cursor.seq) return;
        if (frame.prev_seq !== undefined && frame.prev_seq > this.cursor.seq) this.options.onMissed();
      }
      this.cursor = { seq: frame.seq, id: frame.event_id };
    }
    this.options.onEvent(frame);
  }

  private schedule(connection: Connection): void {
    this.clearTimers();
    const ping = () => {
      void connection.ping(this.pingAnswerMs);
      this.later(ping, this.options.pingEveryMs ?? PING_EVERY_MS);
    };
    this.later(ping, this.options.pingEveryMs ?? PING_EVERY_MS);
    this.later(() => void this.move(connection), this.options.moveAfterMs ?? MOVE_AFTER_MS);
  }

  private later(act: () => void, ms: number): void {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      act();
    }, ms);
    this.timers.add(timer);
  }

  private clearTimers(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, ms);
      const stream = this;
      function done() {
        clearTimeout(timer);
        stream.wakeUp = null;
        resolve();
      }
      this.wakeUp = done;
    });
  }

  private tell(state: StreamState): void {
    if (this.closed && state.kind !== "closed") return;
    this.state = state;
    this.options.onState(this.state);
  }
}

/** The log that an event is of: its id is `<log>:<seq>`, with more behind it where it has no number of its own. */
function logOf(eventId: string): string | undefined {
  return eventId.split(":", 1)[0];
}

function expiry(frame: EventFrame): boolean {
  return frame.method === "custom" && frame.params.data["name"] === EXPIRING && isObject(frame.params.data["payload"]);
}

function describe(end: Ended): string {
  switch (end.code) {
    case 1000:
    case 1001:
      return "the service closed the connection";
    case 1005:
    case 1006:
      return "the connection was lost";
    default:
      return `the connection was closed (${end.code}${end.reason ? `: ${end.reason}` : ""})`;
  }
}
