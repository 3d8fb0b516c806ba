/** One WebSocket to one thread: commands and their answers, and the frames of one subscription. */

import type { ErrorFrame, EventFrame, JsonObject, SuccessFrame } from "./protocol";
import { CHANNELS, parseFrame } from "./protocol";

/** The service has refused a command. */
export class CommandError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = "CommandError";
  }
}

/** How a connection came to its end. 1006 is what browsers say where there was no close frame. */
export interface Ended {
  code: number;
  reason: string;
}

export type SocketFactory = (url: string) => WebSocket;

const ANSWER_MS = 20_000;
/** A close frame of ours: browsers allow 1000 and 3000 to 4999. */
const UNRESPONSIVE = 4000;

interface Waiting {
  resolve: (result: JsonObject) => void;
  reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

export class Connection {
  /** Settles when the connection is gone, whoever ended it. */
  readonly ended: Promise<Ended>;
  private readonly socket: WebSocket;
  private readonly opened: Promise<void>;
  private readonly waiting = new Map<number, Waiting>();
  private lastId = 0;

  constructor(url: string, factory: SocketFactory, onEvent: (frame: EventFrame) => void) {
    const socket = factory(url);
    this.socket = socket;
    this.opened = new Promise((resolve) => socket.addEventListener("open", () => resolve(), { once: true }));
    this.ended = new Promise((resolve) => {
      socket.addEventListener("close", (event) => {
        const end = { code: event.code, reason: event.reason };
        this.failAll(new Error(`the connection was closed (${end.code})`));
        resolve(end);
      });
    });
    socket.addEventListener("message", (event) => {
      const frame = parseFrame(String(event.data));
      if (frame?.type === "event") onEvent(frame);
      else if (frame) this.settle(frame);
    });
  }

  /** Wait until commands can be sent. Rejects if the handshake fails. */
  async open(): Promise<void> {
    const end = await Promise.race([this.opened, this.ended]);
    if (end) throw new Error(`the connection could not be opened (${end.code})`);
  }

  /** Begin to get events: those after `since` (an id, or a number), or from the beginning of what is running. */
  async subscribe(since: string | number | undefined): Promise<void> {
    const params: JsonObject = { channels: [...CHANNELS] };
    if (since !== undefined) params["since"] = since;
    await this.command("subscription.subscribe", params);
  }

  /** Whether the other side still answers; ends the connection if it does not within `withinMs`. */
  async ping(withinMs: number): Promise<void> {
    try {
      await this.command("ping", {}, withinMs);
    } catch {
      this.close(UNRESPONSIVE);
    }
  }

  /** Send one command; rejects with CommandError if it is refused. */
  command(method: string, params: JsonObject, withinMs = ANSWER_MS): Promise<JsonObject> {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        reject(new Error(`no answer to ${method}`));
      }, withinMs);
      this.waiting.set(id, { resolve, reject, timer });
      try {
        this.socket.send(JSON.stringify({ id, method, params }));
      } catch (error) {
        clearTimeout(timer);
        this.waiting.delete(id);
        reject(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }

  close(code = 1000): void {
    this.socket.close(code);
  }

  private settle(frame: SuccessFrame | ErrorFrame): void {
    const waiting = frame.id === null ? undefined : this.waiting.get(frame.id);
    if (!waiting || frame.id === null) return;
    this.waiting.delete(frame.id);
    clearTimeout(waiting.timer);
    if (frame.type === "success") waiting.resolve(frame.result);
    else waiting.reject(new CommandError(frame.error, frame.message));
  }

  private failAll(error: Error): void {
    for (const waiting of this.waiting.values()) {
      clearTimeout(waiting.timer);
      waiting.reject(error);
    }
    this.waiting.clear();
  }
}
