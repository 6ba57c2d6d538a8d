// The conversations that this browser keeps, and the hub if it may.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {repeat} from "lit/directives/repeat.js";
import {PageElement} from "../base/element";
import {formatDay} from "../base/format";
import {Watch} from "../base/notifier";
import {chat} from "./chat-store";
import type {Conversation} from "./conversation";
import {hubHistory} from "./hub-history";
import "./keeping-box";

@customElement("history-list")
export class HistoryList extends PageElement {
  @state() private search = "";

  constructor() {
    super();
    new Watch(this, chat);
  }

  private isFound(conversation: Conversation): boolean {
    const wanted = this.search.trim().toLowerCase();
    if (!wanted) return true;
    return conversation.title.toLowerCase().includes(wanted) ||
      Object.values(conversation.nodes).some((node) => node.text.toLowerCase().includes(wanted));
  }

  private open(id: string): void {
    void chat.select(id);
    location.hash = "#/chat";
    this.dispatchEvent(new CustomEvent("chosen", {bubbles: true}));
  }

  private forget(conversation: Conversation): void {
    if (confirm(`Delete “${conversation.title}”? ${hubHistory.isOn ? "The hub deletes it, too." : "It is kept nowhere else."}`)) void chat.remove(conversation.id);
  }

  private item(conversation: Conversation): TemplateResult {
    const isCurrent = conversation.id === chat.current.id;
    return html`<li>
      <button type="button" class="quiet title" aria-current=${isCurrent ? "true" : nothing}
        @click=${() => this.open(conversation.id)}>
        <span>${conversation.title || "Untitled"}</span><small>${formatDay(conversation.updatedAt)}</small>
      </button>
      <button type="button" class="quiet remove" aria-label="Delete ${conversation.title}"
        @click=${() => this.forget(conversation)}>×</button>
    </li>`;
  }

  protected override render(): TemplateResult {
    const shown = chat.conversations.filter((conversation) => this.isFound(conversation));
    return html`
      <button type="button" class="new" @click=${() => {
        chat.startNew();
        location.hash = "#/chat";
        this.dispatchEvent(new CustomEvent("chosen", {bubbles: true}));
      }}>New chat</button>
      ${chat.conversations.length > 5
        ? html`<input type="search" aria-label="Search conversations" placeholder="Search" .value=${this.search}
            @input=${(e: Event) => (this.search = (e.target as HTMLInputElement).value)}>`
        : nothing}
      <ul aria-label="Conversations">${repeat(shown, (c) => c.id, (c) => this.item(c))}</ul>
      <keeping-box></keeping-box>`;
  }
}
