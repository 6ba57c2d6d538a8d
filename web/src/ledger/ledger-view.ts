// The ledger: what was answered here and what was asked elsewhere, at what price, and whether the record is still
// what was written.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, property, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatCount, formatShare, formatTime, formatUsd} from "../base/format";
import {adviceText, brokenOff, whoAnswered} from "../chat/receipt-line";
import {getJson, postJson} from "../hub/http";
import type {Receipt, VerifyReport} from "../hub/types";
import {confidencePlot} from "./confidence-plot";
import "./day-plot";
import "./policy-box";
import "./receipt-detail";
import {byAdviser, byConfidence, byDay, withEmptyDays, type Day} from "./sums";

const RECEIPTS_MAX = 1000; // The newest; older ones are for `hearth ledger export`.
const SHOWN_AT_FIRST = 50;
const DAYS_MIN = 7; // Of the plot.
const DAYS_MAX = 90;

interface Spending {
  budget: {day_usd_micro: number; request_usd_micro: number};
  today: {charged_usd_micro: number; reserved_usd_micro: number; calls: number};
}

@customElement("ledger-view")
export class LedgerView extends PageElement {
  @property() receiptId = "";
  @state() private receipts: Receipt[] = [];
  @state() private days: Day[] = [];
  @state() private spending?: Spending;
  @state() private verified?: VerifyReport;
  @state() private isVerifying = false;
  @state() private isLoaded = false;
  @state() private onlyEgress = false;
  @state() private nShown = SHOWN_AT_FIRST;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.attempt(() => this.refresh()).then(() => (this.isLoaded = true));
  }

  private async refresh(): Promise<void> {
    const [receipts, spending] = await Promise.all([
      getJson<{receipts: Receipt[]}>(`/hearth/v1/receipts?limit=${RECEIPTS_MAX}`),
      getJson<Spending>("/hearth/v1/ledger?limit=0"),
    ]);
    this.receipts = receipts.receipts;
    this.days = withEmptyDays(byDay(this.receipts), DAYS_MIN, DAYS_MAX);
    this.spending = spending;
  }

  private async verify(): Promise<void> {
    this.isVerifying = true;
    this.verified = undefined;
    await this.attempt(async () => (this.verified = await postJson<VerifyReport>("/hearth/v1/ledger/verify", {})));
    this.isVerifying = false;
  }

  private figures(): TemplateResult {
    const answered = this.receipts.filter((receipt) => !brokenOff(receipt));
    const local = answered.filter((receipt) => receipt.bytes_out === 0).length;
    const bytes = this.receipts.reduce((sum, receipt) => sum + receipt.bytes_out, 0);
    const {budget, today} = this.spending ?? {};
    const rows: [string, string, string][] = [
      ["Answers", answered.length.toLocaleString("en"), this.receipts.length === RECEIPTS_MAX ? "the newest" : ""],
      ["Answered here alone", answered.length ? formatShare(local / answered.length) : "–", ""],
      ["Left this machine", formatBytes(bytes), ""],
      ["Spent today", formatUsd(today?.charged_usd_micro ?? 0),
        budget ? `of ${formatUsd(budget.day_usd_micro)}${today?.reserved_usd_micro ? `, ${formatUsd(today.reserved_usd_micro)} reserved` : ""}` : ""],
    ];
    return html`<dl class="figures big">${rows.map(([name, value, note]) =>
      html`<div><dt>${name}</dt><dd>${value} <small>${note}</small></dd></div>`)}</dl>`;
  }

  private verification(): TemplateResult {
    const report = this.verified;
    return html`<div class="verify">
      <button type="button" id="verify" ?disabled=${this.isVerifying} @click=${() => void this.verify()}>${this.isVerifying ? "Verifying…" : "Verify the chain"}</button>
      <div role="status">${!report ? nothing : report.holds
        ? html`<p class="good">The ledger holds: ${formatCount(report.rows, "row")}, ${formatCount(report.calls, "call")},
            ${formatUsd(report.charged_usd_micro)} charged.</p><p class="note mono">head ${report.head}</p>`
        : html`<p class="fault">The ledger does not hold:</p><ul>${report.problems.map((problem) => html`<li>${problem}</li>`)}</ul>`}</div>
    </div>`;
  }

  private advisers(): TemplateResult | typeof nothing {
    const rows = byAdviser(this.receipts);
    if (!rows.length) return nothing;
    return html`<section aria-labelledby="advisers"><h2 id="advisers">Advisers</h2>
      <div class="scroll" tabindex="0" role="group" aria-labelledby="advisers"><table>
        <thead><tr><th>Adviser</th><th class="number">Asked</th><th class="number">Advised</th><th class="number">Failed</th><th class="number">Bytes out</th><th class="number">Cost</th><th class="number">Per advice</th></tr></thead>
        <tbody>${rows.map((row) => html`<tr><th scope="row">${row.adviser}</th><td class="number">${row.asked}</td><td class="number">${row.advised}</td>
          <td class="number">${row.failed}</td><td class="number">${formatBytes(row.bytesOut)}</td><td class="number">${formatUsd(row.costMicro)}</td>
          <td class="number">${row.advised ? formatUsd(row.costMicro / row.advised) : "–"}</td></tr>`)}</tbody></table></div></section>`;
  }

  private row(receipt: Receipt): TemplateResult {
    return html`<tr>
      <td><a href="#/ledger/${receipt.id}" title=${receipt.id}>${formatTime(receipt.at_unix_us / 1000)}</a></td>
      <td>${whoAnswered(receipt)}</td><td>${adviceText(receipt)}</td>
      <td class="number">${receipt.confidence > 0 ? formatShare(receipt.confidence) : "–"}</td>
      <td class="number">${receipt.usage.completion_tokens.toLocaleString("en")}</td>
      <td class="number">${receipt.bytes_out ? formatBytes(receipt.bytes_out) : "0"}</td>
      <td class="number">${formatUsd(receipt.cost_usd_micro)}</td></tr>`;
  }

  private table(): TemplateResult {
    const wanted = this.onlyEgress ? this.receipts.filter((receipt) => receipt.bytes_out > 0) : this.receipts;
    return html`<section aria-labelledby="receipts"><h2 id="receipts">Receipts</h2>
      <label class="tick"><input type="checkbox" .checked=${this.onlyEgress}
        @change=${(e: Event) => (this.onlyEgress = (e.target as HTMLInputElement).checked)}><span>Only those for which something left</span></label>
      <div class="scroll" tabindex="0" role="group" aria-labelledby="receipts"><table>
        <thead><tr><th>When (UTC)</th><th>Who</th><th>Advice</th><th class="number">Sure</th><th class="number">Tokens</th><th class="number">Bytes out</th><th class="number">Cost</th></tr></thead>
        <tbody>${wanted.slice(0, this.nShown).map((receipt) => this.row(receipt))}</tbody></table></div>
      ${this.isLoaded && !wanted.length ? html`<p class="note">There is none yet.</p>` : nothing}
      ${wanted.length > this.nShown
        ? html`<button type="button" class="quiet" @click=${() => (this.nShown += SHOWN_AT_FIRST * 4)}>Show more</button>` : nothing}
    </section>`;
  }

  protected override render(): TemplateResult {
    if (this.receiptId) return html`<div class="page"><receipt-detail .receiptId=${this.receiptId}></receipt-detail></div>`;
    return html`<div class="page">
      <h1>Ledger</h1>
      ${this.faultLine()}
      ${this.figures()}${this.verification()}
      <section aria-labelledby="days"><h2 id="days">By day</h2>
        <day-plot role="img" aria-label="Money and bytes by day; the table below has the figures" .days=${this.days}
          .budgetMicro=${this.spending?.budget.day_usd_micro ?? 0}></day-plot></section>
      <section aria-labelledby="sure"><h2 id="sure">Confidence, and what came of it</h2>${confidencePlot(byConfidence(this.receipts))}</section>
      ${this.advisers()}
      <policy-box></policy-box>
      ${this.table()}
    </div>`;
  }
}
