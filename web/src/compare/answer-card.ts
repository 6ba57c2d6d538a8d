// One model's answer beside the others': its text, where it parts from the first, and its figures.

import {html, nothing, type PropertyValues, type TemplateResult} from "lit";
import {customElement, property} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatMs, formatShare} from "../base/format";
import {models} from "../hub/models";
import {mapSource} from "../text/confidence";
import {copyCode, renderMarkdown} from "../text/markdown";
import type {Answer} from "./compare-store";
import {divergenceOf, type Divergence} from "./divergence";

const DIVERGES = "diverges";
const MARK_LENGTH = 24; // At most, to the end of the word.

@customElement("answer-card")
export class AnswerCard extends PageElement {
  @property({attribute: false}) answer!: Answer;
  @property({attribute: false}) first!: Answer; // That it is compared with.
  @property() name = "";
  @property({type: Boolean}) hidesFigures = false;
  @property({type: Number}) length = 0; // Of the text, which changes while it streams.
  @property() state = "";
  private mark?: Range;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.unmark();
  }

  private unmark(): void {
    if (this.mark) CSS.highlights?.get(DIVERGES)?.delete(this.mark);
    this.mark = undefined;
  }

  private get divergence(): Divergence | undefined {
    const {answer, first} = this;
    if (answer === first || !answer.text || !first.text) return undefined;
    const found = divergenceOf(answer.text, answer.tokens, first.text);
    // While both go on, what is short is not different yet.
    const isOpen = found.at >= Math.min(answer.text.length, first.text.length) && (answer.state !== "done" || first.state !== "done");
    return isOpen ? undefined : found;
  }

  protected override updated(_: PropertyValues): void {
    const body = this.querySelector<HTMLElement>(".said")!;
    renderMarkdown(body, this.answer.text);
    this.unmark();
    const divergence = this.divergence;
    if (!divergence || divergence.isSame || typeof CSS === "undefined" || !CSS.highlights) return;
    const length = /^\s*\S*/.exec(this.answer.text.slice(divergence.at, divergence.at + MARK_LENGTH))![0].length;
    const shown = mapSource(body, this.answer.text).slice(divergence.at, divergence.at + length).filter((place) => place !== undefined);
    if (!shown.length) return;
    this.mark = document.createRange();
    this.mark.setStart(shown[0].node, shown[0].offset);
    const last = shown.findLast((place) => place.node === shown[0].node)!;
    this.mark.setEnd(last.node, last.offset + 1);
    if (!CSS.highlights.has(DIVERGES)) CSS.highlights.set(DIVERGES, new Highlight());
    CSS.highlights.get(DIVERGES)!.add(this.mark);
  }

  private parting(): TemplateResult | typeof nothing {
    const {divergence} = this;
    if (!divergence) return nothing;
    if (divergence.isSame) return html`<p class="note">The same as the first.</p>`;
    const there = divergenceOf(this.first.text, this.first.tokens, this.answer.text).here;
    const {here} = divergence;
    return html`<p class="note">Parts from the first after ${divergence.sameBytes} bytes${here && there
      ? html`: <q>${here.text.trim()}</q> ${formatShare(here.p)} here, <q>${there.text.trim()}</q> ${formatShare(there.p)} there` : nothing}.</p>`;
  }

  private figures(): TemplateResult | typeof nothing {
    const {receipt, model} = this.answer;
    if (!receipt || this.hidesFigures) return nothing;
    const memory = models.memoryOf(receipt.model);
    const rows: [string, string][] = [
      ["First token", formatMs(receipt.first_token_ms)],
      ["Tokens/s", receipt.tokens_per_second.toFixed(1)],
      ["Tokens", String(receipt.usage.completion_tokens)],
      ["Sure", formatShare(receipt.confidence)],
      ...(memory ? [["Memory", formatBytes(memory.ready_bytes || memory.bytes)] as [string, string]] : []),
      ...(receipt.model !== model ? [["Answered by", receipt.model] as [string, string]] : []),
    ];
    return html`<dl class="figures">${rows.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
  }

  private onClick(event: MouseEvent): void {
    const button = (event.target as HTMLElement).closest<HTMLElement>(".copy-code");
    if (button) void copyCode(button);
  }

  protected override render(): TemplateResult {
    const {answer} = this;
    return html`<article aria-label=${this.name} class="card">
      <h3>${this.name}</h3>
      ${answer.thinking ? html`<details class="thinking"><summary>Thought</summary><div>${answer.thinking}</div></details>` : nothing}
      <div class="said" @click=${this.onClick}></div>
      ${answer.state !== "done" && !answer.text
        ? html`<p class="waiting">${answer.state === "running" ? html`<span class="pulse" aria-hidden="true"></span>` : nothing}${
          answer.status || (answer.state === "running" ? "Waiting for the first word" : "Waits for its turn")}</p>` : nothing}
      ${answer.error ? html`<p class="fault">${answer.error}</p>` : nothing}
      ${this.parting()}${this.figures()}
    </article>`;
  }
}
