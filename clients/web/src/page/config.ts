/** `config.json` beside the page, written by the stack. */

import type { OidcSettings } from "../client/oidc";
import { isObject } from "../client/protocol";

export interface Config {
  /** Where the API is; empty: where the page is. */
  apiBase: string;
  oidc: OidcSettings;
}

/** Raises an Error with words for whoever has set the stack up. */
export async function loadConfig(): Promise<Config> {
  const response = await fetch("config.json", { cache: "no-cache" });
  const given: unknown = response.ok ? await response.json() : null;
  if (!isObject(given)) throw new Error("config.json, which the stack writes beside the page, is missing.");
  const { apiBase = "", issuer, clientId, scope = "openid profile", token = "access_token" } = given;
  if (typeof issuer !== "string" || typeof clientId !== "string") {
    throw new Error("config.json lacks 'issuer' or 'clientId': the stack has no sign-in for this page.");
  }
  return {
    apiBase: String(apiBase),
    oidc: { issuer, clientId, scope: String(scope), token: token === "id_token" ? "id_token" : "access_token" },
  };
}
