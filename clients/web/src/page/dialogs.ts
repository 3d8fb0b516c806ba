/** Modal questions, by the platform's own dialog: it keeps the focus inside and gives it back. */

import { h } from "./dom";

/** Ask before something that cannot be undone. */
export function confirm(question: string, detail: string, action: string): Promise<boolean> {
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "dialog-title", "aria-describedby": "dialog-detail" },
    h("h2", { id: "dialog-title" }, question),
    h("p", { id: "dialog-detail" }, detail),
    h(
      "form",
      { method: "dialog", class: "buttons" },
      h("button", { value: "no", class: "secondary", autofocus: true }, "Keep it"),
      h("button", { value: "yes", class: "danger" }, action),
    ),
  );
  return open(dialog).then((value) => value === "yes");
}

const SHORTCUTS: readonly (readonly [string, string])[] = [
  ["Enter", "Send"],
  ["Shift + Enter", "New line"],
  ["Esc", "Stop the agent (in the message field)"],
  ["Ctrl + K", "Search threads"],
  ["Ctrl + Shift + O", "New thread"],
  ["↑ ↓", "Move through the threads"],
];

export function showShortcuts(): void {
  const rows = SHORTCUTS.map(([keys, what]) => h("div", {}, h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)));
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": "dialog-title" },
    h("h2", { id: "dialog-title" }, "Keyboard"),
    h("dl", { class: "shortcuts" }, ...rows),
    h("form", { method: "dialog", class: "buttons" }, h("button", { class: "primary", autofocus: true }, "Close")),
  );
  void open(dialog);
}

function open(dialog: HTMLDialogElement): Promise<string> {
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}
