// What runs on this machine's silicon: kernels with their receipts, how near each comes to the roof, a slider to feel
// it, and the program as a picture.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, property, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatCount, formatNs, formatShare} from "../base/format";
import {listKernels, timeKernel, trialSizes, type KernelInfo, type KernelList} from "../hub/kernels";
import "./architecture-picture";
import "./gemm-slider";
import "./kernel-detail";
import {roofline, type Ceiling, type Point} from "./roofline";

const REPEATS = 5;
const HUES = {"built-in": 2, verified: 1} as const;

// A figure that is so much above its roof is no speed, but a probe that a neighbour disturbed.
const SHARE_MAX = 1.05;
const isCredible = (speed: KernelInfo["speed"]): boolean => speed !== null && speed.roof_percent / 100 <= SHARE_MAX;

export function pointsOf(kernels: KernelInfo[]): Point[] {
  return kernels.flatMap(({name, origin, speed}) =>
    speed && isCredible(speed) && speed.gflops > 0 && speed.gb_s > 0
      ? [{name, intensity: speed.gflops / speed.gb_s, gops: speed.gflops, share: speed.roof_percent / 100, hue: HUES[origin]}]
      : []);
}

@customElement("silicon-view")
export class SiliconView extends PageElement {
  @property() kernel = "";
  @state() private list?: KernelList;
  @state() private measuring = ""; // The kernel that is being timed.
  private stop?: AbortController;

  override connectedCallback(): void {
    super.connectedCallback();
    void this.attempt(() => this.refresh());
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.stop?.abort();
  }

  private async refresh(): Promise<void> {
    this.list = await listKernels();
  }

  // One after another: a second one would take the first one's memory.
  private async measure(kernels: KernelInfo[]): Promise<void> {
    this.stop = new AbortController();
    const faults: string[] = [];
    for (const kernel of kernels) {
      this.measuring = kernel.name;
      try {
        await timeKernel(kernel.name, trialSizes(kernel.signature), REPEATS, this.stop.signal);
        await this.refresh();
      } catch (error) {
        if (this.stop.signal.aborted) break;
        faults.push(`${kernel.name}: ${(error as Error).message}`);
      }
    }
    this.measuring = "";
    this.fault = faults.join(" ");
  }

  private ceilings(): Ceiling[] {
    const {roof_gflops_f32: floats, roof_gflops_f64: doubles} = this.list!.machine;
    return [{name: "floats", gops: floats}, {name: "doubles", gops: doubles}];
  }

  private plot(kernels: KernelInfo[]): TemplateResult {
    const points = pointsOf(kernels);
    const isMeasuring = this.measuring !== "";
    return html`<section aria-labelledby="roofline"><h2 id="roofline">Under the roofs</h2>
      ${points.length ? roofline(points, this.list!.machine.roof_gb_s, this.ceilings())
        : html`<p class="note">No kernel was timed beside the roofs yet.</p>`}
      <div class="actions">
        <button type="button" id="measure" ?disabled=${isMeasuring} @click=${() => void this.measure(kernels)}>Time them all</button>
        ${isMeasuring ? html`<button type="button" class="quiet" @click=${() => this.stop?.abort()}>Stop</button>` : nothing}
        <span role="status" class="note">${isMeasuring ? `${this.measuring}…` : ""}</span>
      </div>
      <p class="note">The roofs are this machine's, probed beside the runs. What lies in a cache may be above the memory's line: its own roof, in the table, is the cache's.
        A figure above its own roof is a mistake of the measurement, and not drawn.</p></section>`;
  }

  private row(kernel: KernelInfo): TemplateResult {
    const {speed} = kernel;
    return html`<tr><th scope="row"><a href="#/silicon/${encodeURIComponent(kernel.name)}">${kernel.name}</a></th>
      <td>${kernel.origin === "built-in" ? "built in" : html`<span class="chip cached">verified here</span>`}</td>
      <td>${kernel.determinism}</td><td>${speed?.sizes ?? ""}</td>
      <td class="number">${speed ? formatNs(speed.run_ns) : "–"}</td>
      <td class="number">${speed?.gflops ? speed.gflops.toFixed(1) : "–"}</td><td class="number">${speed?.gb_s ? speed.gb_s.toFixed(1) : "–"}</td>
      <td class="number">${!speed?.roof_percent ? "–" : isCredible(speed) ? formatShare(speed.roof_percent / 100)
        : html`<span title="More than its roof: the probe beside it was disturbed. Time it again.">disturbed</span>`}</td></tr>`;
  }

  private table(kernels: KernelInfo[]): TemplateResult {
    return html`<section aria-labelledby="kernels"><h2 id="kernels">${formatCount(kernels.length, "kernel")}</h2>
      ${this.list?.jail.reason ? html`<p class="note">Verified kernels can't run here: ${this.list.jail.reason}</p>` : nothing}
      <div class="scroll" tabindex="0" role="group" aria-labelledby="kernels"><table>
        <thead><tr><th>Kernel</th><th>Whose</th><th>Bits</th><th>Timed at</th><th class="number">A run</th><th class="number">Gflop/s</th><th class="number">GB/s</th>
          <th class="number">Of the roof</th></tr></thead>
        <tbody>${kernels.map((kernel) => this.row(kernel))}</tbody></table></div>
      <p class="note">D0: the same bits on every run; D1: with any number of threads; D2: on any instruction set; D3: in any order of its inputs.
        More: <code>hearth kernel new</code>.</p></section>`;
  }

  protected override render(): TemplateResult {
    if (this.kernel) return html`<div class="page"><kernel-detail .name=${this.kernel}></kernel-detail></div>`;
    const kernels = this.list?.kernels ?? [];
    return html`<div class="page">
      <h1>Silicon</h1>
      ${this.faultLine()}
      <section aria-labelledby="slider"><h2 id="slider">Feel it</h2><gemm-slider></gemm-slider></section>
      ${this.list ? html`${this.plot(kernels)}${this.table(kernels)}` : nothing}
      <section aria-labelledby="architecture"><h2 id="architecture">How it is built</h2><architecture-picture></architecture-picture></section>
    </div>`;
  }
}
