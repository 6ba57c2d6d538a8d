// One turn of a conversation: what was said, and what can be done about it.

import {html, nothing, type PropertyValues, type TemplateResult} from "lit";
import {customElement, property, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatShare} from "../base/format";
import type {MenuItem} from "../base/menu";
import {models} from "../hub/models";
import {findRanges, paint, tokenAt, type MarkedToken} from "../text/confidence";
import {copyCode, copyText, renderMarkdown} from "../text/markdown";
import {chat} from "./chat-store";
import {siblingsOf, type TurnNode} from "./conversation";
import {whoAnswered} from "./receipt-line";

@customElement("turn-item")
export class TurnItem extends PageElement {
  @property({attribute: false}) node!: TurnNode;
  @property({type: Number}) length = 0; // Of text and thinking: what changes while it streams.
  @property({type: Boolean}) running = false;
  @property() status = "";
  @property({type: Boolean}) underlines = true;
  @state() private isEditing = false;
  @state() private hint?: {text: string; x: number; y: number};

  private marks: MarkedToken[] = [];
  private unpaint: () => void = () => {};

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.unpaint();
  }

  edit(): void {
    this.isEditing = true;
  }

  protected override updated(changed: PropertyValues): void {
    const body = this.querySelector<HTMLElement>(".said");
    if (this.node.role === "assistant" && body) {
      renderMarkdown(body, this.node.text);
      if (changed.has("running") || changed.has("underlines") || changed.has("node")) this.underline(body);
    }
    if (changed.has("isEditing") && this.isEditing) {
      const area = this.querySelector("textarea")!;
      area.focus();
      area.setSelectionRange(area.value.length, area.value.length);
    }
  }

  private underline(body: HTMLElement): void {
    this.unpaint();
    const wanted = this.underlines && !this.running && this.node.tokens?.length;
    this.marks = wanted ? findRanges(body, this.node.text, this.node.tokens!) : [];
    this.unpaint = paint(this.marks);
  }

  private onPointer(event: PointerEvent): void {
    const mark = this.marks.length ? tokenAt(this.marks, event.clientX, event.clientY) : undefined;
    if (!mark) {
      if (this.hint) this.hint = undefined;
      return;
    }
    const box = mark.range.getBoundingClientRect();
    const others = mark.token.others.map((other) => `“${other.text.trim() || other.text}” ${formatShare(other.p)}`);
    this.hint = {
      text: `${formatShare(mark.token.p)} sure${others.length ? `; or ${others.join(", ")}` : ""}`,
      x: Math.min(box.left, innerWidth - 240),
      y: box.bottom + 4,
    };
  }

  private onClick(event: MouseEvent): void {
    const button = (event.target as HTMLElement).closest<HTMLElement>(".copy-code");
    if (button) void copyCode(button);
  }

  // What had the focus goes away; who shows this says where it goes.
  private endEdit(): void {
    this.isEditing = false;
    this.dispatchEvent(new CustomEvent("edited", {bubbles: true}));
  }

  private submitEdit(): void {
    const text = this.querySelector("textarea")!.value.trim();
    this.endEdit();
    if (text) void chat.edit(this.node, text);
  }

  private onEditKey(event: KeyboardEvent): void {
    if (event.key === "Escape") {
      event.stopPropagation();
      this.endEdit();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.submitEdit();
    }
  }

  private async copy(event: Event): Promise<void> {
    const button = event.currentTarget as HTMLElement;
    const done = await copyText(this.node.text);
    button.textContent = done ? "Copied" : "Can't copy";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  }

  private againItems(): MenuItem[] {
    return models.names.map((name) => ({
      label: name,
      detail: models.find(name)?.hearth.leaves_this_machine ? "leaves this machine" : undefined,
      run: () => void chat.again(this.node, name),
    }));
  }

  private siblings(): TemplateResult | typeof nothing {
    const siblings = siblingsOf(chat.current, this.node);
    if (siblings.length < 2) return nothing;
    const at = siblings.findIndex((sibling) => sibling.id === this.node.id);
    const what = this.node.role === "user" ? "question" : "answer";
    return html`<span class="siblings">
      <button type="button" class="quiet" aria-label="Previous ${what}" ?disabled=${at === 0}
        @click=${() => chat.showSibling(this.node, -1)}>‹</button>
      <span aria-label="${what} ${at + 1} of ${siblings.length}" role="img">${at + 1} / ${siblings.length}</span>
      <button type="button" class="quiet" aria-label="Next ${what}" ?disabled=${at === siblings.length - 1}
        @click=${() => chat.showSibling(this.node, 1)}>›</button>
    </span>`;
  }

  private question(): TemplateResult {
    if (this.isEditing) {
      return html`<textarea rows="3" aria-label="Edit the question" .value=${this.node.text}
          @keydown=${this.onEditKey}></textarea>
        <div class="actions">
          <button type="button" class="primary" @click=${() => this.submitEdit()}>Ask this instead</button>
          <button type="button" class="quiet" @click=${() => this.endEdit()}>Cancel</button>
        </div>`;
    }
    return html`<div class="said plain">${this.node.text}</div>
      <div class="actions">
        ${this.siblings()}
        <button type="button" class="quiet" @click=${() => this.edit()}>Edit</button>
        <button type="button" class="quiet" @click=${(e: Event) => void this.copy(e)}>Copy</button>
      </div>`;
  }

  private thinking(): TemplateResult | typeof nothing {
    if (!this.node.thinking) return nothing;
    const isLive = this.running && !this.node.text;
    return html`<details class="thinking">
      <summary>${isLive ? "Thinking…" : "Thought"}</summary><div>${this.node.thinking}</div></details>`;
  }

  private waiting(): TemplateResult | typeof nothing {
    if (!this.running || (this.node.text && !this.status)) return nothing;
    return html`<p class="waiting"><span class="pulse" aria-hidden="true"></span>${this.status || "Waiting for the first word"}</p>`;
  }

  private outcome(): TemplateResult | typeof nothing {
    if (this.node.error) return html`<p class="fault" role="alert">${this.node.error}</p>`;
    if (this.node.isStopped) return html`<p class="note">Stopped.</p>`;
    return nothing;
  }

  private outcomeButtons(): TemplateResult | typeof nothing {
    if (!this.node.receipt) return nothing;
    return html`${(["good", "bad"] as const).map((outcome) => html`<button type="button" class="quiet" title="Teaches the hub when to ask for advice"
      aria-pressed=${this.node.outcome === outcome} @click=${() => void this.judge(outcome)}>${outcome === "good" ? "Good" : "Bad"}</button>`)}`;
  }

  private async judge(outcome: "good" | "bad"): Promise<void> {
    await chat.judge(this.node, outcome);
    this.requestUpdate();
  }

  private answer(): TemplateResult {
    return html`${this.thinking()}
      <div class="said" @pointermove=${this.onPointer} @pointerdown=${this.onPointer}
        @pointerleave=${() => (this.hint = undefined)} @click=${this.onClick}></div>
      ${this.hint
        ? html`<div class="hint" role="presentation" .style=${`left:${this.hint.x}px;top:${this.hint.y}px`}>${this.hint.text}</div>`
        : nothing}
      ${this.waiting()}${this.outcome()}
      <receipt-line .receipt=${this.node.receipt} .tokens=${this.node.tokens ?? []}></receipt-line>
      ${this.running ? nothing : html`<div class="actions">
        ${this.siblings()}
        <button type="button" class="quiet" @click=${(e: Event) => void this.copy(e)}>Copy</button>
        <button type="button" class="quiet" @click=${() => void chat.again(this.node, this.node.model ?? "auto")}>Again</button>
        <menu-button label="Again with…" title="Answer again with another model" .items=${this.againItems()}></menu-button>
        <button type="button" class="quiet" title="A new conversation from here" @click=${() => chat.branch(this.node.id)}>Branch</button>
        ${this.outcomeButtons()}
      </div>`}`;
  }

  protected override render(): TemplateResult {
    const isUser = this.node.role === "user";
    const who = isUser ? "You" : this.node.receipt ? whoAnswered(this.node.receipt) : (this.node.model ?? "Model");
    return html`<article class="turn ${this.node.role}" aria-label=${who}>
      <header aria-hidden="true">${who}</header>
      ${isUser ? this.question() : this.answer()}
    </article>`;
  }
}
