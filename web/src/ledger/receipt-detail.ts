// One answer's receipt, and the exact bytes that left for it.

import {html, nothing, type PropertyValues, type TemplateResult} from "lit";
import {customElement, property, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatTime, formatUsd} from "../base/format";
import {rowsOf} from "../chat/receipt-line";
import {getJson} from "../hub/http";
import type {EgressRow, Receipt} from "../hub/types";
import {callsOf, type Call} from "./sums";

@customElement("receipt-detail")
export class ReceiptDetail extends PageElement {
  @property() receiptId = "";
  @state() private receipt?: Receipt;
  @state() private calls?: Call[];

  protected override willUpdate(changed: PropertyValues): void {
    if (!changed.has("receiptId")) return;
    this.receipt = this.calls = undefined;
    void this.attempt(() => this.fetch(this.receiptId));
  }

  private async fetch(receiptId: string): Promise<void> {
    const id = encodeURIComponent(receiptId);
    const [receipt, {rows}] = await Promise.all([
      getJson<Receipt>(`/hearth/v1/receipts/${id}`),
      getJson<{rows: EgressRow[]}>(`/hearth/v1/ledger?request=${id}`),
    ]);
    if (receiptId !== this.receiptId) return; // Another one was opened meanwhile.
    this.receipt = receipt;
    this.calls = callsOf(rows);
  }

  private call({send, settle}: Call): TemplateResult {
    const outcome = settle
      ? `${settle.outcome}${settle.http_status ? `, status ${settle.http_status}` : ""}; ${formatUsd(settle.charged_usd_micro)} charged, ${formatBytes(settle.bytes_in)} came back`
      : "still open";
    return html`<section class="call" aria-label="Call ${send.seq}">
      <h3>${formatBytes(send.body_bytes)} to ${send.provider}, for its model ${send.model}</h3>
      <dl>
        <dt>When</dt><dd>${formatTime(send.at_unix_us / 1000)} UTC</dd>
        <dt>Where to</dt><dd>${send.url}</dd>
        <dt>Allowed by</dt><dd>${send.rule}</dd>
        <dt>Reserved</dt><dd>${formatUsd(send.reserved_usd_micro)}</dd>
        <dt>Outcome</dt><dd>${outcome}</dd>
        <dt>Row</dt><dd class="mono">${send.seq}, ${send.hash}</dd>
      </dl>
      <p class="note">Headers</p>
      <pre class="bytes" tabindex="0" aria-label="Headers that left">${send.headers}</pre>
      <p class="note">Body, byte for byte</p>
      <pre class="bytes" tabindex="0" aria-label="Bytes that left">${send.body}</pre>
    </section>`;
  }

  protected override render(): TemplateResult {
    return html`<p><a href="#/ledger">← All receipts</a></p>
      <h1>Receipt</h1>
      ${this.faultLine()}
      ${this.receipt
        ? html`<dl class="receipt-rows">${rowsOf(this.receipt).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>` : nothing}
      <h2>What left for it</h2>
      ${this.calls?.length === 0 ? html`<p>Nothing left this machine for it.</p>` : this.calls?.map((call) => this.call(call))}`;
  }
}
