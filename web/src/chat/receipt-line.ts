// Under each answer what it took: one line, and all of the receipt behind it.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, property} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatCount, formatMs, formatRate, formatShare, formatUsd} from "../base/format";
import type {TokenChance} from "../hub/chat";
import type {Receipt} from "../hub/types";
import {leastSure} from "../text/confidence";

const ADVICE: Record<string, string> = {
  not_needed: "no advice needed",
  advised: "advised",
  not_configured: "no adviser set up",
  not_allowed: "advice not allowed",
  over_budget: "advice over budget",
  unknown_price: "adviser's price unknown",
  not_worth_it: "advice not worth its price",
  failed: "adviser failed",
};

const LEAST_SURE_MAX = 5;

export function whoAnswered(receipt: Receipt): string {
  const name = receipt.adapter ? `${receipt.model}@${receipt.adapter}` : receipt.model;
  return receipt.upstream ? `${name} (${receipt.upstream})` : name;
}

// Of what came to no end, whether it failed or was stopped.
export const brokenOff = ({end}: Receipt): string | undefined => (end === "error" ? "failed" : end === "cancelled" ? "stopped" : undefined);

export function adviceText(receipt: Receipt): string {
  if (receipt.advice === "not_needed" && brokenOff(receipt)) return brokenOff(receipt)!;
  const text = ADVICE[receipt.advice] ?? receipt.advice;
  return receipt.advice === "advised" && receipt.adviser ? `advised by ${receipt.adviser}` : text;
}

export function summaryOf(receipt: Receipt): string[] {
  const left = receipt.bytes_out ? `${formatBytes(receipt.bytes_out)} left this machine` : "nothing left this machine";
  return [
    whoAnswered(receipt),
    ...(receipt.tokens_per_second > 0 ? [formatRate(receipt.tokens_per_second)] : []),
    ...(receipt.confidence > 0 ? [`${formatShare(receipt.confidence)} sure`] : []),
    adviceText(receipt),
    left,
    formatUsd(receipt.cost_usd_micro),
  ];
}

// Names and values of what a receipt says; what it leaves empty is left out.
export function rowsOf(receipt: Receipt): [string, string][] {
  const {usage} = receipt;
  const rows: [string, string | false | undefined][] = [
    ["Receipt", receipt.id],
    ["Model", whoAnswered(receipt) + (receipt.quantisation ? `, ${receipt.quantisation}` : "")],
    ["Why this model", receipt.choice],
    ["Where", receipt.place || "in this hub"],
    ["Prompt", `${formatCount(usage.prompt_tokens, "token")}, ${usage.cached_tokens} of them cached` +
      (usage.restored_tokens ? `, ${usage.restored_tokens} from disk` : "")],
    ["Answer", `${formatCount(usage.completion_tokens, "token")}, ended by ${receipt.end}`],
    ["Time", `first token after ${formatMs(receipt.first_token_ms)}, all after ${formatMs(receipt.total_ms)}` +
      (receipt.ready_ms >= 1 ? `, model ready after ${formatMs(receipt.ready_ms)}` : "")],
    ["Kind of question", receipt.kind],
    ["Wrong by experience", receipt.p_wrong > 0 && formatShare(receipt.p_wrong)],
    ["Advice", `${adviceText(receipt)}${receipt.advice_detail ? `: ${receipt.advice_detail}` : ""}`],
    ["Rule", receipt.advice_rule],
    ["Left out", receipt.left_out],
  ];
  return rows.filter((row): row is [string, string] => Boolean(row[1]));
}

@customElement("receipt-line")
export class ReceiptLine extends PageElement {
  @property({attribute: false}) receipt?: Receipt;
  @property({attribute: false}) tokens: TokenChance[] = [];

  private leastSureRow(): TemplateResult | typeof nothing {
    const worst = leastSure(this.tokens, LEAST_SURE_MAX);
    if (!worst.length) return nothing;
    return html`<dt>Least sure of</dt><dd>${worst.map((token, i) => html`${i ? ", " : ""}<q>${token.text.trim()}</q>
      (${formatShare(token.p)}${token.others[0]
        ? html`, or <q>${token.others[0].text.trim()}</q> ${formatShare(token.others[0].p)}` : nothing})`)}</dd>`;
  }

  protected override render(): TemplateResult | typeof nothing {
    const {receipt} = this;
    if (!receipt) return nothing;
    return html`<details class="receipt">
      <summary>${summaryOf(receipt).map((part, i) => html`${i ? html`<i aria-hidden="true"> · </i>` : nothing}<span>${part}</span>`)}</summary>
      <dl>
        ${rowsOf(receipt).map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}
        ${this.leastSureRow()}
      </dl>
      ${receipt.bytes_out
        ? html`<p><a href="#/ledger/${receipt.id}">The exact bytes that left</a></p>` : nothing}
    </details>`;
  }
}
