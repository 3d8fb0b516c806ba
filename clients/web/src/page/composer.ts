/** Where messages are written. */

import { h, icon, iconButton, setAttribute } from "./dom";
import { ImageError, MOST_IMAGES, toDataUrl } from "./images";

export interface ComposerActions {
  send: (text: string, images: string[]) => void;
  stop: () => void;
  problem: (message: string) => void;
}

const TALLEST_PX = 240;

export class Composer {
  readonly element: HTMLFormElement;
  private readonly input: HTMLTextAreaElement;
  private readonly previews = h("ul", { class: "previews", "aria-label": "Attached images", hidden: true });
  private readonly sendButton = h("button", { type: "submit", class: "send", "aria-label": "Send", title: "Send (Enter)" }, icon("arrow"));
  private readonly stopButton: HTMLButtonElement;
  private readonly file = h("input", { type: "file", accept: "image/*", multiple: true, hidden: true, "aria-label": "Images" });
  private images: string[] = [];
  private running = false;
  private stopping = false;

  constructor(private readonly actions: ComposerActions) {
    this.input = h("textarea", {
      rows: 1,
      "aria-label": "Message",
      placeholder: "Write a message",
      enterkeyhint: "send",
      oninput: () => this.refresh(),
      onkeydown: (event: KeyboardEvent) => this.onKey(event),
      onpaste: (event: ClipboardEvent) => this.onPaste(event),
    });
    this.stopButton = h(
      "button",
      { type: "button", class: "send stop", "aria-label": "Stop", title: "Stop (Esc)", onclick: () => actions.stop() },
      icon("stop"),
    );
    this.file.addEventListener("change", () => {
      void this.attach([...(this.file.files ?? [])]);
      this.file.value = "";
    });
    const attach = iconButton("image", "Attach images", () => this.file.click());
    this.element = h(
      "form",
      {
        class: "composer",
        onsubmit: (event: SubmitEvent) => {
          event.preventDefault();
          this.submit();
        },
        ondragover: (event: DragEvent) => event.preventDefault(),
        ondrop: (event: DragEvent) => this.onDrop(event),
      },
      this.previews,
      h("div", { class: "composer-row" }, attach, this.file, this.input, this.stopButton, this.sendButton),
    );
    this.refresh();
  }

  focus(): void {
    this.input.focus();
  }

  get hasFocus(): boolean {
    return document.activeElement === this.input;
  }

  /** `asked`: the agent has asked a question. */
  setState(state: { running: boolean; stopping: boolean; asked: boolean }): void {
    this.running = state.running;
    this.stopping = state.stopping;
    setAttribute(this.input, "placeholder", state.asked ? "Write your answer" : "Write a message");
    this.refresh();
  }

  private submit(): void {
    const text = this.input.value.trim();
    if (!text && this.images.length === 0) return;
    const images = this.images;
    this.input.value = "";
    this.images = [];
    this.showPreviews();
    this.refresh();
    this.actions.send(text, images);
  }

  private refresh(): void {
    const empty = this.input.value.trim() === "" && this.images.length === 0;
    this.sendButton.disabled = empty;
    // While something runs, what is written is sent after it; with nothing written the button stops it.
    const refocus = document.activeElement === this.stopButton && !this.running;
    this.stopButton.hidden = !this.running || !empty;
    this.sendButton.hidden = !this.stopButton.hidden;
    if (refocus) this.input.focus();
    this.stopButton.disabled = this.stopping;
    setAttribute(this.stopButton, "aria-label", this.stopping ? "Stopping" : "Stop");
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, TALLEST_PX)}px`;
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submit();
    } else if (event.key === "Escape" && this.running && !this.stopping) {
      event.preventDefault();
      this.actions.stop();
    }
  }

  private onPaste(event: ClipboardEvent): void {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    void this.attach(files);
  }

  private onDrop(event: DragEvent): void {
    event.preventDefault();
    void this.attach([...(event.dataTransfer?.files ?? [])]);
  }

  private async attach(files: File[]): Promise<void> {
    const room = MOST_IMAGES - this.images.length;
    if (files.length > room) this.actions.problem(`A message can have ${MOST_IMAGES} images.`);
    for (const file of files.slice(0, room)) {
      try {
        this.images.push(await toDataUrl(file));
      } catch (error) {
        this.actions.problem(error instanceof ImageError ? error.message : "The picture could not be read.");
      }
    }
    this.showPreviews();
    this.refresh();
  }

  private showPreviews(): void {
    this.previews.hidden = this.images.length === 0;
    const remove = (index: number) => {
      this.images.splice(index, 1);
      this.showPreviews();
      this.refresh();
      this.focus();
    };
    this.previews.replaceChildren(
      ...this.images.map((url, index) =>
        h(
          "li",
          {},
          h("img", { src: url, alt: `Attached image ${index + 1}` }),
          iconButton("close", `Remove image ${index + 1}`, () => remove(index)),
        ),
      ),
    );
  }
}
