// Asks before bytes leave, and shows exactly those bytes.  Closing it says no.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatUsd} from "../base/format";
import {Watch} from "../base/notifier";
import {consents, type Departure} from "../hub/consents";
import {getJson} from "../hub/http";

@customElement("consent-dialog")
export class ConsentDialog extends PageElement {
  @state() private body?: string; // Of one whose comment had none.
  private shownId?: string;
  private timer = 0;

  constructor() {
    super();
    new Watch(this, consents);
  }

  private get dialog(): HTMLDialogElement {
    return this.querySelector("dialog")!;
  }

  protected override updated(): void {
    const departure = consents.waiting[0];
    if (departure && departure.id !== this.shownId) this.open(departure);
    if (!departure && this.shownId !== undefined) this.close();
  }

  private open(departure: Departure): void {
    this.shownId = departure.id;
    this.fault = "";
    this.body = undefined;
    if (departure.body === undefined) void this.attempt(() => this.fetchBody(departure));
    clearTimeout(this.timer);
    if (departure.expires_unix_us) {
      this.timer = window.setTimeout(() => consents.drop(departure.id), Math.max(departure.expires_unix_us / 1000 - Date.now(), 0));
    }
    if (!this.dialog.open) this.dialog.showModal();
    this.querySelector<HTMLElement>("#refuse")!.focus();
  }

  private close(): void {
    this.shownId = undefined;
    clearTimeout(this.timer);
    this.dialog.close();
  }

  private async fetchBody(departure: Departure): Promise<void> {
    const {consents: all} = await getJson<{consents: Departure[]}>("/hearth/v1/consents");
    if (this.shownId === departure.id) this.body = all.find((other) => other.id === departure.id)?.body;
  }

  private async answer(isAllowed: boolean): Promise<void> {
    const departure = consents.waiting[0];
    if (!departure) return;
    const remember = this.querySelector<HTMLInputElement>("#remember")!.checked;
    const isTold = await this.attempt(() => consents.answer(departure, isAllowed, remember));
    if (!isTold && !isAllowed) consents.drop(departure.id); // What is not answered does not leave.
  }

  private content(departure: Departure): TemplateResult {
    const body = departure.body ?? this.body;
    const size = body === undefined ? "" : `${formatBytes(new TextEncoder().encode(body).length)} `;
    return html`
      <h2 id="consent-title">May this leave your machine?</h2>
      <p>${size}to <strong>${departure.provider}</strong>, for its model ${departure.model}. It costs at most ${formatUsd(departure.worst_usd_micro)}.</p>
      <dl><dt>Where to</dt><dd>${departure.url}</dd>${departure.label ? html`<dt>It is</dt><dd>${departure.label}</dd>` : nothing}</dl>
      <p class="note">Headers</p><pre class="bytes" tabindex="0" aria-label="Headers that would leave">${departure.headers}</pre>
      <p class="note">Body, byte for byte</p><pre class="bytes tall" tabindex="0" aria-label="Bytes that would leave">${body ?? "…"}</pre>
      <label class="tick"><input type="checkbox" id="remember"><span>The same answer from now on</span></label>
      ${this.faultLine()}
      <div class="actions"><button type="button" id="refuse" @click=${() => void this.answer(false)}>Refuse</button>
        <button type="button" id="allow" class="primary" ?disabled=${body === undefined} @click=${() => void this.answer(true)}>Allow</button></div>`;
  }

  protected override render(): TemplateResult {
    const departure = consents.waiting[0];
    return html`<dialog id="consent" aria-labelledby="consent-title" @cancel=${(e: Event) => (e.preventDefault(), void this.answer(false))}>
      ${departure ? this.content(departure) : nothing}</dialog>`;
  }
}
