// The conversation that is shown, and the box to go on with it.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {repeat} from "lit/directives/repeat.js";
import {PageElement} from "../base/element";
import {Watch} from "../base/notifier";
import {loadSetting, saveSetting} from "../base/store";
import {models} from "../hub/models";
import {chat, type Advice} from "./chat-store";
import {blockOf} from "./attachment";
import {asMarkdown, pathTo, type TurnNode} from "./conversation";
import {saveFile} from "../base/save-file";
import "../base/menu";
import "./receipt-line";
import "./turn-item";
import type {TurnItem} from "./turn-item";

// Within so many pixels of the end the view follows what comes.
const FOLLOW_PX = 80;

const ADVICE: [Advice, string][] = [
  ["", "advice: default"],
  ["never", "advice: never"],
  ["auto", "advice: if unsure"],
  ["always", "advice: always"],
];

@customElement("chat-view")
export class ChatView extends PageElement {
  @state() private draft = "";
  @state() private underlines = loadSetting("underlines", true);
  @state() private isSystemOpen = false;
  @state() private refused = ""; // Why a file was not taken.
  private follows = true;
  private wasRunning = false;

  constructor() {
    super();
    new Watch(this, chat);
    new Watch(this, models);
  }

  focusBox(): void {
    this.querySelector<HTMLElement>("#ask")?.focus();
  }

  private get log(): HTMLElement {
    return this.querySelector(".log")!;
  }

  // Turns grow after this view is drawn, so it is their size that is followed.
  private readonly growth = new ResizeObserver(() => {
    if (this.follows) this.log.scrollTop = this.log.scrollHeight;
  });

  protected override firstUpdated(): void {
    this.growth.observe(this.log.firstElementChild!);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.growth.disconnect();
  }

  protected override updated(): void {
    // What somebody chose stays chosen, whichever place it has in a list that changed.
    const picker = this.querySelector<HTMLSelectElement>("#model")!;
    if (picker.value !== chat.current.model) picker.value = chat.current.model;
    const isRunning = Boolean(chat.runningHere);
    if (this.wasRunning && !isRunning) this.announce("The answer is complete.");
    this.wasRunning = isRunning;
  }

  private announce(text: string): void {
    this.querySelector(".spoken")!.textContent = text;
  }

  private send(): void {
    const text = this.draft.trim();
    if (!text || chat.runningHere) return;
    this.draft = "";
    this.follows = true;
    this.announce("");
    void chat.send(text);
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.send();
    } else if (event.key === "ArrowUp" && !this.draft) {
      const items = [...this.querySelectorAll<TurnItem>("turn-item")];
      const last = items.filter((item) => item.node.role === "user").at(-1);
      if (!last) return;
      event.preventDefault();
      last.edit();
    }
  }

  private onScroll(): void {
    const {scrollTop, scrollHeight, clientHeight} = this.log;
    this.follows = scrollHeight - scrollTop - clientHeight < FOLLOW_PX;
  }

  private toggleUnderlines(): void {
    this.underlines = !this.underlines;
    saveSetting("underlines", this.underlines);
  }

  private turn(node: TurnNode): TemplateResult {
    const run = chat.runningNode(node.id);
    return html`<turn-item .node=${node} .length=${node.text.length + (node.thinking?.length ?? 0)}
      .running=${Boolean(run)} .status=${run?.status ?? ""} .underlines=${this.underlines}></turn-item>`;
  }

  private welcome(): TemplateResult {
    return html`<div class="welcome">
      <h2>What would you like to know?</h2>
      <p>Answers come from models on this machine. Under each one is its receipt: who answered, how sure it was,
        and what left the machine.</p>
    </div>`;
  }

  private modelPicker(): TemplateResult {
    const names = models.names.length ? models.names : [chat.current.model];
    const all = names.includes(chat.current.model) ? names : [chat.current.model, ...names];
    return html`<label class="picker"><span class="hidden">Model</span>
      <select id="model" @change=${(e: Event) => chat.setModel((e.target as HTMLSelectElement).value)}>
        ${all.map((name) => html`<option value=${name} ?selected=${name === chat.current.model}>${name}${
          models.find(name)?.hearth.leaves_this_machine ? " (leaves this machine)" : ""}</option>`)}
      </select></label>`;
  }

  private advicePicker(): TemplateResult {
    return html`<label class="picker"><span class="hidden">Advice</span>
      <select id="advice" title="Whether an adviser may be asked" @change=${(e: Event) => chat.setAdvice((e.target as HTMLSelectElement).value as Advice)}>
        ${ADVICE.map(([value, name]) => html`<option value=${value} ?selected=${value === chat.advice}>${name}</option>`)}
      </select></label>`;
  }

  private async attach(event: Event): Promise<void> {
    const field = event.target as HTMLInputElement;
    const file = field.files?.[0];
    field.value = "";
    if (!file) return;
    const block = await blockOf(file);
    this.refused = typeof block === "string" ? "" : block.problem;
    if (typeof block === "string") this.draft += (this.draft && !this.draft.endsWith("\n") ? "\n" : "") + block;
    this.focusBox();
  }

  private toolbar(): TemplateResult {
    const {current} = chat;
    return html`<div class="toolbar">
      ${this.modelPicker()}${this.advicePicker()}
      <label class="quiet attach">Attach<input type="file" id="attach" class="hidden" @change=${(e: Event) => void this.attach(e)}></label>
      <button type="button" class="quiet" aria-expanded=${this.isSystemOpen} aria-controls="system-box"
        @click=${() => (this.isSystemOpen = !this.isSystemOpen)}>Instructions${current.system.trim() ? " •" : ""}</button>
      <button type="button" class="quiet" aria-pressed=${this.underlines} title="Underline what the model was unsure of"
        @click=${() => this.toggleUnderlines()}>Doubts</button>
      ${current.leaf
        ? html`<button type="button" class="quiet" @click=${() => saveFile(`${current.title}.md`, "text/markdown", asMarkdown(current))}>Save</button>`
        : nothing}
    </div>`;
  }

  private box(): TemplateResult {
    const running = chat.runningHere;
    return html`<form class="box" @submit=${(e: Event) => (e.preventDefault(), this.send())}>
      <div id="system-box" ?hidden=${!this.isSystemOpen}>
        <label for="system">Instructions that come before the conversation</label>
        <textarea id="system" rows="3" .value=${chat.current.system}
          @input=${(e: Event) => chat.setSystem((e.target as HTMLTextAreaElement).value)}></textarea>
      </div>
      <div class="line">
        <div class="grow" data-text=${this.draft}>
          <textarea id="ask" rows="1" aria-label="Your question" placeholder="Ask…" .value=${this.draft} autofocus
            enterkeyhint="send" @keydown=${this.onKey}
            @input=${(e: Event) => (this.draft = (e.target as HTMLTextAreaElement).value)}></textarea>
        </div>
        ${running
          ? html`<button type="button" class="primary" id="stop" @click=${() => chat.stop()}>Stop</button>`
          : html`<button type="submit" class="primary" id="send" ?disabled=${!this.draft.trim()}>Send</button>`}
      </div>
      ${this.refused ? html`<p class="fault" role="alert">${this.refused}</p>` : nothing}
      ${this.toolbar()}
    </form>`;
  }

  protected override render(): TemplateResult {
    const path = pathTo(chat.current);
    return html`
      <h1 class="hidden">Chat</h1>
      <div class="log" role="region" aria-label="Conversation" tabindex="0" @scroll=${this.onScroll}>
        <div class="column" @edited=${this.focusBox}>
          ${path.length ? repeat(path, (node) => node.id, (node) => this.turn(node)) : this.welcome()}
        </div>
      </div>
      <div class="spoken hidden" role="status"></div>
      ${chat.keepsHistory ? nothing : html`<p class="note column">This browser keeps no history here.</p>`}
      ${models.error ? html`<p class="fault column" role="alert">${models.error}</p>` : nothing}
      ${this.box()}`;
  }
}
