/** The REST interface. */

import { RefusedError, SignedOutError, UnreachableError } from "./errors";
import type { Assistant, JsonObject, Run, RunRequest, StoredMessage, Thread } from "./protocol";
import { isObject } from "./protocol";

/** Gives a bearer token; with `renew` one that is not the token given before. */
export type TokenSource = (renew?: boolean) => Promise<string>;

export interface Ticket {
  ticket: string;
  expires_in: number;
}

const RETRIES = 2;
const LONGEST_RETRY_AFTER_S = 20;
const PAGE = 1000;
const SURELY_WHOLE_CHARS = 500_000;

export class Api {
  constructor(
    readonly base: string,
    private readonly token: TokenSource,
    private readonly fetching: typeof fetch = (...given) => fetch(...given),
    private readonly wait: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
  ) {}

  createThread(threadId: string, metadata: JsonObject): Promise<Thread> {
    const body = { thread_id: threadId, metadata, if_exists: "do_nothing" };
    return this.ask("POST", "/threads", body);
  }

  /** A page of the account's threads, newest first. */
  searchThreads(limit: number, offset: number): Promise<Thread[]> {
    return this.ask("POST", "/threads/search", { limit, offset });
  }

  getThread(threadId: string): Promise<Thread> {
    return this.ask("GET", `/threads/${threadId}`);
  }

  /** Merge keys into the thread's metadata. */
  updateThread(threadId: string, metadata: JsonObject): Promise<Thread> {
    return this.ask("PATCH", `/threads/${threadId}`, { metadata });
  }

  async deleteThread(threadId: string): Promise<void> {
    await this.ask("DELETE", `/threads/${threadId}`);
  }

  /** The thread's messages from `offset` on, oldest first. */
  async messages(threadId: string, offset = 0): Promise<StoredMessage[]> {
    const all: StoredMessage[] = [];
    for (;;) {
      const path = `/threads/${threadId}/messages?limit=${PAGE}&offset=${offset + all.length}`;
      const page = await this.ask<StoredMessage[]>("GET", path);
      all.push(...page);
      if (page.length === 0 || isWhole(page)) return all;
    }
  }

  /** The thread's newest messages as a `values` event would have them. */
  async state(threadId: string): Promise<JsonObject> {
    return (await this.ask<{ values: JsonObject }>("GET", `/threads/${threadId}/state`)).values;
  }

  /** Start a run. It may be asked for again under the same `key`. */
  startRun(threadId: string, request: RunRequest, key: string): Promise<Run> {
    return this.ask("POST", `/threads/${threadId}/runs`, { ...request, if_not_exists: "create" }, key);
  }

  /** The thread's runs, newest first. */
  runs(threadId: string, limit = 100): Promise<Run[]> {
    return this.ask("GET", `/threads/${threadId}/runs?limit=${limit}`);
  }

  getRun(threadId: string, runId: string): Promise<Run> {
    return this.ask("GET", `/threads/${threadId}/runs/${runId}`);
  }

  /** Stop a run; one that has ended already stays as it is. */
  async cancelRun(threadId: string, runId: string): Promise<void> {
    await this.ask("POST", `/threads/${threadId}/runs/${runId}/cancel`, {});
  }

  searchAssistants(): Promise<Assistant[]> {
    return this.ask("POST", "/assistants/search", { limit: 100 });
  }

  /** A single-use ticket for a WebSocket, whose handshake cannot carry a header in a browser. */
  ticket(): Promise<Ticket> {
    return this.ask("POST", "/ws-tickets");
  }

  private async ask<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
    // What changes something is only repeated where the service can tell that it is the same request.
    const repeatable = method === "GET" || key !== undefined;
    let renewed = false;
    for (let attempt = 0; ; attempt++) {
      const last = !repeatable || attempt >= RETRIES;
      let response: Response;
      try {
        response = await this.send(method, path, body, key, renewed);
      } catch (error) {
        if (error instanceof SignedOutError) throw error;
        if (last) throw new UnreachableError();
        await this.wait(500 * 2 ** attempt);
        continue;
      }
      if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T;
      if (response.status === 401 && !renewed) {
        renewed = true;
        attempt--;
        continue;
      }
      const retryAfterS = Number(response.headers.get("retry-after") ?? Number.NaN);
      if (response.status === 503 && !last && retryAfterS <= LONGEST_RETRY_AFTER_S) {
        await this.wait(retryAfterS * 1000);
        continue;
      }
      throw await refusal(response);
    }
  }

  private async send(method: string, path: string, body: unknown, key: string | undefined, renew: boolean) {
    const headers: Record<string, string> = { authorization: `Bearer ${await this.token(renew)}` };
    if (body !== undefined) headers["content-type"] = "application/json";
    if (key !== undefined) headers["idempotency-key"] = key;
    const given = body === undefined ? {} : { body: JSON.stringify(body) };
    return await this.fetching(this.base + path, { method, headers, ...given });
  }
}

async function refusal(response: Response): Promise<Error> {
  const body: unknown = await response.json().catch(() => null);
  const message = isObject(body) && typeof body["message"] === "string" ? body["message"] : response.statusText;
  const code = isObject(body) && typeof body["code"] === "string" ? body["code"] : "error";
  if (response.status === 401) return new SignedOutError();
  return new RefusedError(response.status, code, message || `The service answered ${response.status}.`);
}

/** A page ends early where messages are large: only one that is short and small is surely the last. */
function isWhole(page: StoredMessage[]): boolean {
  return page.length < PAGE && JSON.stringify(page).length < SURELY_WHOLE_CHARS;
}
