// Which well-known models this machine can run, and how fast by the estimate; a pull away.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatDay, formatParams, formatSpeed} from "../base/format";
import {Watch} from "../base/notifier";
import {getRecommendation, measureRoofs, type Recommendation, type Recommended} from "../hub/machine";
import {models} from "../hub/models";
import {pulls} from "./pull-store";

const FITS: Record<Recommended["fits"], string> = {now: "fits", if_freed: "if other programs end", no: "too large"};

@customElement("machine-box")
export class MachineBox extends PageElement {
  @state() private found?: Recommendation;
  @state() private isMeasuring = false;
  @state() private showsAll = false;
  private here?: string; // The models that there were when the hub was asked last.

  constructor() {
    super();
    new Watch(this, models);
  }

  // Whoever pulls or deletes one changes what is said of it here.
  protected override willUpdate(): void {
    const here = models.names.join("\n");
    if (here === this.here) return;
    this.here = here;
    void this.attempt(() => this.refresh());
  }

  private async refresh(): Promise<void> {
    const {here} = this;
    const found = await getRecommendation();
    if (here === this.here) this.found = found; // Else it is asked for again already.
  }

  private async measure(): Promise<void> {
    this.isMeasuring = true;
    await this.attempt(async () => {
      await measureRoofs();
      await this.refresh();
    });
    this.isMeasuring = false;
  }

  private roofs({roofs, memory}: Recommendation): TemplateResult {
    const button = html`<button type="button" class=${roofs ? "quiet" : ""} ?disabled=${this.isMeasuring} @click=${() => void this.measure()}>${
      this.isMeasuring ? "Measuring…" : roofs ? "Measure again" : "Measure this machine"}</button>`;
    return html`<p class="machine">${roofs
      ? html`It reads memory at <strong>${roofs.read_gb_s.toFixed(1)} GB/s</strong> and multiplies at <strong>${roofs.int8_gop_s.toFixed(0)} Gop/s</strong>
          in 8 bits with ${roofs.n_threads} threads (measured ${formatDay(roofs.at_unix_s * 1000)}).`
      : html`How fast they would be is known once its memory and arithmetic were measured: two seconds of all cores.`}
      ${formatBytes(memory.available_bytes)} of ${formatBytes(memory.total_bytes)} memory are free. ${button}</p>`;
  }

  private row(model: Recommended): TemplateResult {
    return html`<tr class=${model.fits === "no" ? "faint" : ""}>
      <th scope="row">${model.name}${model.best ? html` <span class="chip cached">best here</span>` : nothing}
        <small class="narrow">${formatBytes(model.bytes)}, ${FITS[model.fits]}</small></th>
      <td class="number wide-only">${formatParams(model.params)}${model.active_params < model.params ? html` <small>${formatParams(model.active_params)} at a time</small>` : nothing}</td>
      <td class="number wide-only">${formatBytes(model.bytes)}</td><td class="wide-only">${FITS[model.fits]}</td>
      <td class="number">${formatSpeed(model.decode_tokens_per_s)}</td><td class="number wide-only">${formatSpeed(model.prompt_tokens_per_s)}</td>
      <td>${model.here ? html`<span class="note">here</span>` : html`<button type="button" class="quiet" aria-label="Pull ${model.name}" title=${model.pull}
        @click=${() => pulls.start(model.pull)}>Pull</button>`}</td></tr>`;
  }

  private table(found: Recommendation): TemplateResult {
    const able = found.models.filter((model) => model.fits !== "no");
    const shown = this.showsAll ? found.models : able;
    return html`<div class="scroll" tabindex="0" role="group" aria-labelledby="machine"><table>
        <thead><tr><th>Model</th><th class="number wide-only">Parameters</th><th class="number wide-only">Size</th><th class="wide-only">In memory</th>
          <th class="number">Writes, tokens/s</th><th class="number wide-only">Reads, tokens/s</th><th><span class="hidden">Pull</span></th></tr></thead>
        <tbody>${shown.map((model) => this.row(model))}</tbody></table></div>
      ${able.length < found.models.length
        ? html`<button type="button" class="quiet" aria-expanded=${this.showsAll} @click=${() => (this.showsAll = !this.showsAll)}>${
            this.showsAll ? "Only what fits" : `${found.models.length - able.length} more, too large`}</button>` : nothing}
      <p class="note">${found.how} The list is of ${found.as_of}; any other GGUF file can be pulled, too.</p>`;
  }

  protected override render(): TemplateResult {
    return html`<section aria-labelledby="machine"><h2 id="machine">What this machine can run</h2>
      ${this.faultLine()}
      ${this.found ? html`${this.roofs(this.found)}${this.table(this.found)}` : nothing}</section>`;
  }
}
