/** A real WebSocket server that speaks the protocol as far as a test needs, and counts what it is asked. */

import { once } from "node:events";
import type { AddressInfo } from "node:net";

import { WebSocket, WebSocketServer } from "ws";

import type { EventFrame, Json, JsonObject } from "../src/client/protocol";

export interface Session {
  socket: WebSocket;
  since: Json | undefined;
  send: (frame: EventFrame) => void;
}

export class Server {
  /** Every subscription, in order. */
  readonly sessions: Session[] = [];
  readonly commands: { method: string; params: JsonObject }[] = [];
  /** What is answered in place of success. */
  refuse: ((method: string, params: JsonObject) => string | null) | null = null;
  answersPings = true;
  /** Called before a subscription is answered. */
  onSubscribe: (() => void) | null = null;
  /** Called after a subscription is answered. */
  onSession: ((session: Session) => void) | null = null;
  private readonly server: WebSocketServer;

  private constructor(server: WebSocketServer) {
    this.server = server;
    server.on("connection", (socket) => socket.on("message", (data) => this.take(socket, String(data))));
  }

  static async start(): Promise<Server> {
    const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
    await once(server, "listening");
    return new Server(server);
  }

  get url(): string {
    return `ws://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    for (const client of this.server.clients) client.terminate();
    this.server.close();
    await once(this.server, "close");
  }

  private take(socket: WebSocket, body: string): void {
    const { id, method, params } = JSON.parse(body) as { id: number; method: string; params: JsonObject };
    this.commands.push({ method, params });
    const refusal = this.refuse?.(method, params);
    if (refusal) return this.say(socket, { type: "error", id, error: refusal, message: "no" });
    if (method === "ping" && !this.answersPings) return;
    if (method === "subscription.subscribe") this.onSubscribe?.();
    this.say(socket, { type: "success", id, result: {} });
    if (method !== "subscription.subscribe") return;
    const session: Session = { socket, since: params["since"], send: (frame) => this.say(socket, frame as unknown as Json) };
    this.sessions.push(session);
    this.onSession?.(session);
  }

  private say(socket: WebSocket, frame: Json): void {
    socket.send(JSON.stringify(frame));
  }
}

/** A browser's WebSocket, by another name. */
export const socketFactory = (url: string) => new WebSocket(url) as unknown as globalThis.WebSocket;

/** Wait until a condition holds, and return what it gave. */
export async function until<T>(condition: () => T | undefined | false | null, withinMs = 5000): Promise<T> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = condition();
    if (value) return value;
    if (Date.now() > deadline) throw new Error(`what was waited for did not happen: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
