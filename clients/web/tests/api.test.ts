import { describe, expect, it } from "vitest";

import { Api } from "../src/client/api";
import { RefusedError, SignedOutError, UnreachableError } from "../src/client/errors";

interface Asked {
  method: string;
  url: string;
  headers: Record<string, string>;
}

/** An API whose answers are given one after the other; an Error is a network failure. */
function api(...answers: (Response | Error)[]) {
  const asked: Asked[] = [];
  const waits: number[] = [];
  const tokens: boolean[] = [];
  const fetching = (url: unknown, init: RequestInit = {}) => {
    asked.push({ method: init.method ?? "", url: String(url), headers: init.headers as Record<string, string> });
    const answer = answers.shift();
    return answer instanceof Response ? Promise.resolve(answer) : Promise.reject(answer ?? new Error("asked too often"));
  };
  const token = (renew = false) => {
    tokens.push(renew);
    return Promise.resolve(renew ? "new" : "old");
  };
  const wait = async (ms: number) => void waits.push(ms);
  return { api: new Api("", token, fetching as typeof fetch, wait), asked, waits, tokens };
}

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers });

describe("a request", () => {
  it("that is refused says what the service says", async () => {
    const { api: service } = api(json(409, { code: "conflict", message: "a run is under way", detail: null }));

    await expect(service.deleteThread("t")).rejects.toEqual(new RefusedError(409, "conflict", "a run is under way"));
  });

  it("with an old token is sent again with a new one", async () => {
    const { api: service, asked } = api(json(401, {}), json(200, { thread_id: "t" }));
    await service.getThread("t");

    expect(asked.map(({ headers }) => headers["authorization"])).toEqual(["Bearer old", "Bearer new"]);
  });

  it("whose new token is refused too means that the sign-in has ended", async () => {
    const { api: service } = api(json(401, {}), json(401, {}));

    await expect(service.getThread("t")).rejects.toBeInstanceOf(SignedOutError);
  });

  it("that reads is repeated, as long as the service is away", async () => {
    const away = new TypeError("Failed to fetch");
    const { api: service, asked } = api(away, away, json(200, { thread_id: "t" }));
    await service.getThread("t");
    expect(asked).toHaveLength(3);

    const gone = api(away, away, away);
    await expect(gone.api.getThread("t")).rejects.toBeInstanceOf(UnreachableError);
  });

  it("that starts a run is repeated under the same key", async () => {
    const { api: service, asked } = api(new TypeError("Failed to fetch"), json(200, { run_id: "r" }));
    await service.startRun("t", { assistant_id: "agent" }, "key");

    expect(asked.map(({ headers }) => headers["idempotency-key"])).toEqual(["key", "key"]);
  });

  it("that changes something without a key is not repeated", async () => {
    const { api: service, asked } = api(new TypeError("Failed to fetch"));

    await expect(service.updateThread("t", {})).rejects.toBeInstanceOf(UnreachableError);
    expect(asked).toHaveLength(1);
  });

  it("waits as long as a paused database asks for", async () => {
    const { api: service, waits } = api(json(503, {}, { "retry-after": "15" }), json(200, { thread_id: "t" }));
    await service.getThread("t");

    expect(waits).toEqual([15_000]);
  });

  it("for messages goes on until the last page", async () => {
    const large = { message_id: "m", content: { content: "x".repeat(600_000) } };
    const { api: service, asked } = api(json(200, [large]), json(200, [large]), json(200, []));

    expect(await service.messages("t", 5)).toHaveLength(2);
    expect(asked.map(({ url }) => new URL(url, "http://x").searchParams.get("offset"))).toEqual(["5", "6", "7"]);
  });
});
