/**
 * Sign-in by OpenID Connect: authorization code with PKCE (RFC 7636), for a public client without a secret.
 *
 * Tokens are kept in the browser's local storage so that a reload and a second tab need no new sign-in; the page's
 * content security policy lets no foreign script run that could read them.
 */

import { SignedOutError, UnreachableError } from "./errors";
import { isObject } from "./protocol";

export interface OidcSettings {
  issuer: string;
  clientId: string;
  scope: string;
  /** Which token the API takes: Cognito's access tokens carry no audience, so there it is the ID token. */
  token: "access_token" | "id_token";
}

export interface Account {
  subject: string;
  name: string;
}

interface Provider {
  issuer: string;
  authorization_endpoint: string;
  token_endpoint: string;
  end_session_endpoint?: string;
}

interface Tokens {
  bearer: string;
  refresh: string | null;
  /** Epoch ms. */
  expiresAt: number;
  account: Account;
}

interface Pending {
  state: string;
  nonce: string;
  verifier: string;
  /** Where in the page to go on. */
  hash: string;
}

const TOKENS = "suna.tokens";
const PENDING = "suna.sign-in";
const RENEWING = "suna.renewing";
/** A token that ends sooner is renewed first. */
const MARGIN_MS = 60_000;

export class Oidc {
  private provider: Promise<Provider> | null = null;

  constructor(
    private readonly settings: OidcSettings,
    private readonly redirectUri: string,
    private readonly storage: Storage = localStorage,
    private readonly session: Storage = sessionStorage,
  ) {}

  get account(): Account | null {
    return this.stored()?.account ?? null;
  }

  /** The address of the provider's sign-in; going there leaves the page. */
  async begin(hash: string): Promise<string> {
    const { authorization_endpoint: endpoint } = await this.discover();
    const pending: Pending = { state: randomText(), nonce: randomText(), verifier: randomText(), hash };
    this.session.setItem(PENDING, JSON.stringify(pending));
    const url = new URL(endpoint);
    for (const [name, value] of Object.entries({
      response_type: "code",
      client_id: this.settings.clientId,
      redirect_uri: this.redirectUri,
      scope: this.settings.scope,
      state: pending.state,
      nonce: pending.nonce,
      code_challenge: await challenge(pending.verifier),
      code_challenge_method: "S256",
    })) {
      url.searchParams.set(name, value);
    }
    return url.href;
  }

  /** Whether the address is one that the provider has sent us back to. */
  static isReturn(query: URLSearchParams): boolean {
    return query.has("state") && (query.has("code") || query.has("error"));
  }

  /** Take the code that the provider has sent us back with; returns the hash to go on at. */
  async finish(query: URLSearchParams): Promise<string> {
    const pending = read<Pending>(this.session, PENDING);
    this.session.removeItem(PENDING);
    const failure = query.get("error_description") ?? query.get("error");
    if (failure) throw new SignedOutError(`The sign-in was refused: ${failure}`);
    if (!pending || query.get("state") !== pending.state) {
      throw new SignedOutError("This sign-in was not begun in this tab. Sign in again.");
    }
    await this.fetchTokens(
      {
        grant_type: "authorization_code",
        code: query.get("code") ?? "",
        redirect_uri: this.redirectUri,
        code_verifier: pending.verifier,
      },
      pending.nonce,
    );
    return pending.hash;
  }

  /** A bearer token for the API; with `renew` not the one that was refused. */
  async token(renew = false): Promise<string> {
    const before = this.stored();
    if (!before) throw new SignedOutError();
    if (!renew && before.expiresAt - MARGIN_MS > Date.now()) return before.bearer;
    // One tab renews for all: some providers take a refresh token only once.
    return await exclusively(async () => {
      const tokens = this.stored();
      if (!tokens) throw new SignedOutError();
      if (tokens.bearer !== before.bearer) return tokens.bearer;
      if (!tokens.refresh) return this.forget();
      try {
        await this.fetchTokens({ grant_type: "refresh_token", refresh_token: tokens.refresh }, null);
      } catch (error) {
        if (error instanceof SignedOutError) return this.forget();
        throw error;
      }
      return (this.stored() as Tokens).bearer;
    });
  }

  /** Forget the tokens; the address to go to if the provider has a sign-out of its own. */
  async signOut(): Promise<string | null> {
    this.storage.removeItem(TOKENS);
    const { end_session_endpoint: endpoint } = await this.discover();
    if (!endpoint) return null;
    const url = new URL(endpoint);
    url.searchParams.set("client_id", this.settings.clientId);
    url.searchParams.set("post_logout_redirect_uri", this.redirectUri);
    url.searchParams.set("logout_uri", this.redirectUri); // Cognito's name for it
    return url.href;
  }

  private forget(): never {
    this.storage.removeItem(TOKENS);
    throw new SignedOutError("Your sign-in has expired. Sign in again.");
  }

  private stored(): Tokens | null {
    return read<Tokens>(this.storage, TOKENS);
  }

  private discover(): Promise<Provider> {
    this.provider ??= this.fetchProvider().catch((error: unknown) => {
      this.provider = null;
      throw error;
    });
    return this.provider;
  }

  private async fetchProvider(): Promise<Provider> {
    const address = `${this.settings.issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
    const response = await fetch(address).catch(() => null);
    if (!response?.ok) throw new UnreachableError();
    const provider = (await response.json()) as Provider;
    if (provider.issuer !== this.settings.issuer) throw new Error("The sign-in service is not the one configured.");
    return provider;
  }

  private async fetchTokens(grant: Record<string, string>, nonce: string | null): Promise<void> {
    const { token_endpoint: endpoint } = await this.discover();
    const body = new URLSearchParams({ ...grant, client_id: this.settings.clientId });
    const response = await fetch(endpoint, { method: "POST", body }).catch(() => null);
    if (!response || response.status >= 500) throw new UnreachableError();
    const answer: unknown = await response.json().catch(() => null);
    if (!response.ok || !isObject(answer)) {
      const reason = isObject(answer) ? answer["error_description"] ?? answer["error"] : response.statusText;
      throw new SignedOutError(`The sign-in failed: ${String(reason)}`);
    }
    this.store(answer, nonce);
  }

  private store(answer: Record<string, unknown>, nonce: string | null): void {
    const before = this.stored();
    const claims = typeof answer["id_token"] === "string" ? claimsOf(answer["id_token"]) : null;
    if (claims && claims["iss"] !== this.settings.issuer) throw new SignedOutError("The token is of another issuer.");
    if (claims && !isFor(claims["aud"], this.settings.clientId)) throw new SignedOutError("The token is not for us.");
    if (nonce !== null && claims?.["nonce"] !== nonce) throw new SignedOutError("The token is not of this sign-in.");
    const bearer = answer[this.settings.token];
    if (typeof bearer !== "string") throw new SignedOutError(`The sign-in gave no ${this.settings.token}.`);
    const lifetimeS = typeof answer["expires_in"] === "number" ? answer["expires_in"] : 3600;
    const tokens: Tokens = {
      bearer,
      refresh: typeof answer["refresh_token"] === "string" ? answer["refresh_token"] : (before?.refresh ?? null),
      expiresAt: Date.now() + lifetimeS * 1000,
      account: claims ? accountOf(claims) : (before?.account ?? { subject: "", name: "" }),
    };
    this.storage.setItem(TOKENS, JSON.stringify(tokens));
  }
}

/** What a JSON Web Token says. It came from the issuer itself over a connection of ours (OIDC Core 3.1.3.7, 6). */
export function claimsOf(token: string): Record<string, unknown> {
  const payload = (token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/");
  const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
  const claims: unknown = JSON.parse(new TextDecoder().decode(bytes));
  return isObject(claims) ? claims : {};
}

function accountOf(claims: Record<string, unknown>): Account {
  const subject = String(claims["sub"]);
  const name = [claims["name"], claims["preferred_username"], claims["email"]].find((one) => typeof one === "string");
  return { subject, name: typeof name === "string" ? name : subject };
}

function isFor(audience: unknown, clientId: string): boolean {
  return audience === clientId || (Array.isArray(audience) && audience.includes(clientId));
}

async function exclusively<T>(act: () => Promise<T>): Promise<T> {
  return navigator.locks ? ((await navigator.locks.request(RENEWING, act)) as T) : await act();
}

function read<T>(storage: Storage, name: string): T | null {
  try {
    return JSON.parse(storage.getItem(name) ?? "null") as T | null;
  } catch {
    return null;
  }
}

/** 256 random bits, as RFC 7636 recommends for a verifier. */
function randomText(): string {
  return base64url(crypto.getRandomValues(new Uint8Array(32)));
}

async function challenge(verifier: string): Promise<string> {
  return base64url(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier))));
}

function base64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}
