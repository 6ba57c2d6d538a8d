// A slider of a matrix's size: each move multiplies two matrices of it on this machine.  A newer move supersedes an
// older run, which the hub gives up.

import {html, nothing, svg, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatMs, formatShare} from "../base/format";
import {timeKernel, type KernelSpeed} from "../hub/kernels";

const KERNEL = "gemm_f32";
const SIZE_MIN = 128;
const SIZE_MAX = 2048;
const SIZE_STEP = 64;
const REPEATS = 3;
const WIDTH = 600;
const HEIGHT = 150;

@customElement("gemm-slider")
export class GemmSlider extends PageElement {
  @state() private size = 512;
  @state() private isRunning = false;
  @state() private seen = new Map<number, KernelSpeed>(); // By size.
  private running?: AbortController;

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.running?.abort();
  }

  private move(event: Event): void {
    this.size = Number((event.target as HTMLInputElement).value);
    void this.run();
  }

  private async run(): Promise<void> {
    const {size} = this;
    this.running?.abort();
    const mine = new AbortController();
    this.running = mine;
    this.isRunning = true;
    try {
      const speed = await timeKernel(KERNEL, {m: size, n: size, k: size}, REPEATS, mine.signal);
      this.seen = new Map(this.seen).set(size, speed);
      this.fault = "";
    } catch (error) {
      if (!mine.signal.aborted) this.fault = (error as Error).message;
    }
    if (this.running === mine) this.isRunning = false;
  }

  private plot(): TemplateResult | typeof nothing {
    const points = [...this.seen].sort(([a], [b]) => a - b);
    if (!points.length) return nothing;
    const roof = Math.max(...points.map(([, speed]) => speed.roof_gflops));
    const top = Math.max(roof, ...points.map(([, speed]) => speed.gflops)) * 1.05;
    const x = (size: number): number => ((size - SIZE_MIN) / (SIZE_MAX - SIZE_MIN)) * (WIDTH - 12) + 6;
    const y = (gflops: number): number => HEIGHT - (gflops / top) * HEIGHT;
    const text = points.map(([size, speed]) => `${size}: ${speed.gflops.toFixed(0)}`).join("; ");
    return html`<figure class="gemm"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="Gflop/s by size, under a roof of ${roof.toFixed(0)}: ${text}">
        <line class="axis" x1="0" x2=${WIDTH} y1=${HEIGHT} y2=${HEIGHT}></line>
        <line class="roof" x1="0" x2=${WIDTH} y1=${y(roof)} y2=${y(roof)}></line>
        <path d=${points.map(([size, speed], i) => `${i ? "L" : "M"}${x(size).toFixed(1)} ${y(speed.gflops).toFixed(1)}`).join("")}></path>
        ${points.map(([size, speed]) => svg`<path class="dot" d="M${x(size)} ${y(speed.gflops)}h0"></path>`)}
      </svg><figcaption class="ends"><span>${SIZE_MIN}</span><span>the line above is the roof, ${roof.toFixed(0)} Gflop/s</span><span>${SIZE_MAX}</span></figcaption></figure>`;
  }

  private figures(): TemplateResult {
    const speed = this.seen.get(this.size);
    if (!speed) return html`<p class="note" role="status">${this.isRunning ? "Multiplying…" : "Move the slider, or press Run."}</p>`;
    return html`<p role="status" class="gemm-figure"><strong>${speed.gflops.toFixed(0)}</strong> Gflop/s of ${speed.roof_gflops.toFixed(0)}
      · ${formatShare(speed.roof_percent / 100)} of the roof · ${formatMs(speed.run_ns / 1e6)} a product</p>`;
  }

  protected override render(): TemplateResult {
    return html`<div class="slider">
        <label for="gemm-size">${this.size} × ${this.size} floats</label>
        <input id="gemm-size" type="range" min=${SIZE_MIN} max=${SIZE_MAX} step=${SIZE_STEP} .value=${String(this.size)} @input=${this.move}>
        <button type="button" class="quiet" @click=${() => void this.run()}>Run</button>
      </div>
      ${this.figures()}
      ${this.faultLine()}
      ${this.plot()}`;
  }
}
