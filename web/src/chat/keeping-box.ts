// Where conversations are kept, in plain words, and the switch for the hub.

import {html, nothing, type TemplateResult} from "lit";
import {customElement} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatCount} from "../base/format";
import {Watch} from "../base/notifier";
import {chat} from "./chat-store";
import {hubHistory} from "./hub-history";

@customElement("keeping-box")
export class KeepingBox extends PageElement {
  constructor() {
    super();
    new Watch(this, hubHistory);
    new Watch(this, chat);
  }

  private onToggle(event: Event): void {
    if ((event.target as HTMLDetailsElement).open) void hubHistory.look();
  }

  private async stop(deletes: boolean): Promise<void> {
    if (deletes && !confirm("Delete the conversations that the hub keeps? This browser keeps those that it has.")) return;
    await chat.leaveHub(deletes).catch((error: Error) => (hubHistory.fault = error.message));
  }

  private there(): string {
    const {list} = hubHistory;
    if (!list?.conversations.length) return "none yet";
    return `${formatCount(list.conversations.length, "conversation")}, ${formatBytes(list.conversations.reduce((sum, head) => sum + head.bytes, 0))}`;
  }

  protected override render(): TemplateResult {
    const {isOn, list, fault} = hubHistory;
    const where = html`On the hub's machine they ${isOn ? "lie" : "would lie"} in <code>${list?.folder ?? "its data folder"}</code>, as plain text that its owner alone may
      read${isOn ? ` (${this.there()})` : ""}. Browsers that use this hub as you do can open them.`;
    return html`<details class="keeping" @toggle=${this.onToggle}>
      <summary>${isOn ? "Kept here and on the hub" : chat.keepsHistory ? "Kept in this browser alone" : "Kept nowhere: this browser forbids it"}</summary>
      <p>${where}</p>
      ${isOn
        ? html`<button type="button" class="quiet" @click=${() => void this.stop(false)}>Keep no more there</button>
            <button type="button" class="quiet" @click=${() => void this.stop(true)}>Delete them there</button>`
        : html`<button type="button" @click=${() => void chat.keepOnHub()}>Keep them on the hub too</button>`}
    </details>
    ${fault ? html`<p class="fault note" role="alert">Not kept on the hub: ${fault}</p>` : nothing}`;
  }
}
