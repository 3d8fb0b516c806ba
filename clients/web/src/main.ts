import "./styles/base.css";
import "./styles/layout.css";
import "./styles/conversation.css";
import "./styles/markdown.css";
import "./styles/composer.css";

import { Api } from "./client/api";
import { Oidc } from "./client/oidc";
import { App } from "./page/app";
import { loadConfig } from "./page/config";
import { h } from "./page/dom";
import { applyTheme } from "./page/theme";

const root = document.body;

function gate(message: string, action: string, act: () => Promise<void>): HTMLElement {
  const problem = h("p", { class: "gate-problem", role: "alert" });
  const button = h("button", { type: "button", class: "primary", onclick: () => void attempt() }, action);
  async function attempt(): Promise<void> {
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      problem.textContent = error instanceof Error ? error.message : String(error);
    } finally {
      button.disabled = false;
    }
  }
  return h("main", { class: "gate" }, h("h1", {}, "Suna"), h("p", {}, message), button, problem);
}

async function run(): Promise<void> {
  applyTheme();
  const config = await loadConfig();
  const address = new URL(location.href);
  const oidc = new Oidc(config.oidc, `${address.origin}${address.pathname}`);
  let app: App | null = null;

  function signIn(message: string): void {
    app?.close();
    app = null;
    const begin = async () => location.assign(await oidc.begin(location.hash));
    root.replaceChildren(gate(message, "Sign in", begin));
    root.querySelector<HTMLElement>("button")?.focus();
  }

  async function signOut(): Promise<void> {
    const onward = await oidc.signOut().catch(() => null);
    if (onward) location.assign(onward);
    else signIn("You are signed out.");
  }

  if (Oidc.isReturn(address.searchParams)) {
    const query = address.searchParams;
    // The code is good for nothing twice: a reload must not try.
    history.replaceState(null, "", address.pathname);
    try {
      history.replaceState(null, "", address.pathname + (await oidc.finish(query)));
    } catch (error) {
      signIn(error instanceof Error ? error.message : String(error));
      return;
    }
  }
  const { account } = oidc;
  if (!account) {
    signIn("Sign in to talk to your agents.");
    return;
  }
  const api = new Api(config.apiBase, (renew) => oidc.token(renew));
  app = new App(api, account, {
    signOut: () => void signOut(),
    onSignedOut: () => app && signIn("Your sign-in has ended. Sign in to go on."),
  });
  root.replaceChildren(app.element);
  app.start();
}

run().catch((error: unknown) => {
  const message = error instanceof Error ? error.message : String(error);
  root.replaceChildren(gate(message, "Try again", async () => location.reload()));
});
