// One prompt, several models side by side; a vote that does not know whose answer is whose; and what came of all
// votes.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {repeat} from "lit/directives/repeat.js";
import {PageElement} from "../base/element";
import type {MenuItem} from "../base/menu";
import {Watch} from "../base/notifier";
import {saveFile} from "../base/save-file";
import {models} from "../hub/models";
import "./answer-card";
import {compare, MODELS_MAX, promptsOf, PROMPTS_MAX, type Comparison} from "./compare-store";
import {ranking} from "./elo";
import {asCsv, asJson, asMarkdown} from "./export";

const LETTERS = "ABCDEF";
const TOKENS_MAX = 512;
const SHOWN_MAX = 12;

@customElement("compare-view")
export class CompareView extends PageElement {
  @state() private prompt = "";
  @state() private file?: {name: string; prompts: string[]};
  @state() private maxTokens = TOKENS_MAX;

  constructor() {
    super();
    new Watch(this, compare);
    new Watch(this, models);
  }

  private get chosen(): string[] {
    return compare.chosen?.filter((name) => models.find(name)) ?? models.names.filter((name) => name !== "auto" && name !== "local").slice(0, 2);
  }

  private toggle(name: string): void {
    const {chosen} = this;
    compare.choose(chosen.includes(name) ? chosen.filter((other) => other !== name) : [...chosen, name]);
  }

  private start(): void {
    const prompts = this.file?.prompts ?? (this.prompt.trim() ? [this.prompt.trim()] : []);
    if (prompts.length && this.chosen.length) void compare.run(prompts, this.chosen, this.maxTokens);
  }

  private async takeFile(event: Event): Promise<void> {
    const field = event.target as HTMLInputElement;
    const file = field.files?.[0];
    field.value = "";
    if (file) this.file = {name: file.name, prompts: promptsOf(await file.text())};
  }

  private onKey(event: KeyboardEvent): void {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      this.start();
    }
  }

  private choice(): TemplateResult {
    const {chosen} = this;
    return html`<fieldset class="choice"><legend>Models (up to ${MODELS_MAX})</legend>
      ${models.names.map((name) => html`<label class="tick"><input type="checkbox" .checked=${chosen.includes(name)}
        ?disabled=${!chosen.includes(name) && chosen.length >= MODELS_MAX} @change=${() => this.toggle(name)}><span>${name}</span></label>`)}
    </fieldset>`;
  }

  private options(): TemplateResult {
    return html`<div class="options">
      <label class="tick"><input type="checkbox" id="blind" .checked=${compare.isBlind}
        @change=${(e: Event) => compare.set({isBlind: (e.target as HTMLInputElement).checked})}><span>Blind</span></label>
      <label class="tick" title="One model at a time, so that none takes another's speed"><input type="checkbox" .checked=${compare.isInTurn}
        @change=${(e: Event) => compare.set({isInTurn: (e.target as HTMLInputElement).checked})}><span>In turn</span></label>
      <label>Temperature <input type="number" min="0" max="2" step="0.1" .value=${String(compare.temperature ?? "")}
        placeholder="model's" @change=${(e: Event) => {
          const {value} = e.target as HTMLInputElement;
          compare.set({temperature: value === "" ? null : Number(value)});
        }}></label>
      <label>At most <input type="number" id="max-tokens" min="1" max="8192" .value=${String(this.maxTokens)}
        @change=${(e: Event) => (this.maxTokens = Math.max(1, Number((e.target as HTMLInputElement).value) || TOKENS_MAX))}> tokens</label>
      <label class="file">Prompts from a file… <input type="file" class="hidden" accept=".txt,text/plain" @change=${(e: Event) => void this.takeFile(e)}></label>
    </div>`;
  }

  private question(): TemplateResult {
    return html`<form class="ask" @submit=${(e: Event) => (e.preventDefault(), this.start())}>
      ${this.file
        ? html`<p class="note">${this.file.prompts.length} prompts of ${this.file.name}${this.file.prompts.length === PROMPTS_MAX
            ? ", which is the limit" : ""}. <button type="button" class="quiet" @click=${() => (this.file = undefined)}>Leave them</button></p>`
        : html`<textarea id="prompt" rows="3" aria-label="The prompt" placeholder="One prompt for all…" .value=${this.prompt}
            @keydown=${this.onKey} @input=${(e: Event) => (this.prompt = (e.target as HTMLTextAreaElement).value)}></textarea>`}
      ${this.choice()}${this.options()}
      <div class="actions">${compare.isRunning
        ? html`<button type="button" class="primary" @click=${() => compare.stop()}>Stop</button>`
        : html`<button class="primary" id="compare" ?disabled=${!this.chosen.length || !(this.file ?? this.prompt.trim())}>Compare</button>`}
        ${compare.comparisons.length && !compare.isRunning
          ? html`<menu-button label="Save…" title="Save as a file" .items=${this.saveItems()}></menu-button>` : nothing}
      </div>
    </form>`;
  }

  private saveItems(): MenuItem[] {
    const {comparisons} = compare;
    return [
      {label: "Markdown", run: () => saveFile("comparison.md", "text/markdown", asMarkdown(comparisons))},
      {label: "CSV", run: () => saveFile("comparison.csv", "text/csv", asCsv(comparisons))},
      {label: "JSON", run: () => saveFile("comparison.json", "application/json", asJson(comparisons))},
    ];
  }

  private comparison(comparison: Comparison): TemplateResult {
    const isDone = comparison.answers.every((answer) => answer.state === "done");
    const isHidden = comparison.isBlind && comparison.verdict === undefined;
    const shown = comparison.order.map((i) => comparison.answers[i]);
    const first = shown[0];
    return html`<section class="comparison" aria-label="Answers">
      <h2>${comparison.prompt}</h2>
      <div class="cards">
        ${shown.map((answer, i) => html`<div class=${comparison.verdict === answer.model ? "won" : ""}>
          <answer-card .answer=${answer} .first=${first} .hidesFigures=${isHidden} .length=${answer.text.length + first.text.length}
            .state=${answer.state + first.state + answer.status} name=${isHidden ? `Answer ${LETTERS[i]}` : answer.model}></answer-card>
          ${isDone && comparison.verdict === undefined && shown.length > 1
            ? html`<button type="button" class="vote" aria-label="${isHidden ? `Answer ${LETTERS[i]}` : answer.model} is best"
                @click=${() => compare.vote(comparison, answer.model)}>Best</button>` : nothing}
        </div>`)}
      </div>
      ${isDone && comparison.verdict === undefined && shown.length > 1
        ? html`<div class="actions"><button type="button" class="quiet" @click=${() => compare.vote(comparison, null)}>None is better</button></div>` : nothing}
      <p role="status" class="told">${comparison.verdict === undefined ? "" : comparison.verdict === null
        ? "Counted as a draw." : `Counted for ${comparison.verdict}.`}</p>
    </section>`;
  }

  // What has begun, the newest first where there are many: drawing a thousand at each token would take a second.
  private answers(): TemplateResult {
    const begun = compare.comparisons.filter((comparison) => comparison.answers.some((answer) => answer.state !== "waiting"));
    const shown = begun.length > SHOWN_MAX ? begun.slice(-SHOWN_MAX).reverse() : begun;
    return html`${compare.comparisons.length > 1
        ? html`<p class="note" role="status">${begun.length} of ${compare.comparisons.length} prompts${
            begun.length > shown.length ? `; the last ${shown.length} are shown, a saved file has all` : ""}.</p>` : nothing}
      ${repeat(shown, (comparison) => comparison, (comparison) => this.comparison(comparison))}`;
  }

  private ratings(): TemplateResult | typeof nothing {
    const rows = ranking(compare.ratings);
    if (!rows.length) return nothing;
    return html`<section aria-labelledby="ratings"><h2 id="ratings">Your votes</h2>
      <div class="scroll" tabindex="0" role="group" aria-labelledby="ratings"><table>
      <thead><tr><th>Model</th><th class="number">Elo</th><th class="number">Won</th><th class="number">Lost</th><th class="number">Drawn</th></tr></thead>
      <tbody>${rows.map((row) => html`<tr><th scope="row">${row.model}</th><td class="number">${row.points.toFixed(0)}</td>
        <td class="number">${row.wins}</td><td class="number">${row.losses}</td><td class="number">${row.draws}</td></tr>`)}</tbody></table></div>
      <button type="button" class="quiet" @click=${() => confirm("Forget all votes?") && compare.forgetRatings()}>Forget them</button>
    </section>`;
  }

  protected override render(): TemplateResult {
    return html`<div class="page wide">
      <h1>Compare</h1>
      ${this.question()}
      ${this.answers()}
      ${this.ratings()}
    </div>`;
  }
}
