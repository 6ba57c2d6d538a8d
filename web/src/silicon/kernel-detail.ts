// One kernel whole: its terms, and its receipt, contract and source where it was verified here.

import {html, nothing, type PropertyValues, type TemplateResult} from "lit";
import {customElement, property, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatNs, formatShare} from "../base/format";
import {getKernel, type KernelWhole} from "../hub/kernels";

// Names and values of a kernel's terms; what is absent is left out.
export function termsOf(kernel: KernelWhole): [string, string][] {
  const {speed, errors} = kernel;
  const rows: [string, string | null | undefined | false][] = [
    ["About", kernel.about],
    ["Signature", kernel.signature],
    ["Operations", kernel.flops],
    ["Bytes moved", kernel.bytes],
    ["Bits", kernel.determinism],
    ["Timed", speed && `${speed.sizes}: ${formatNs(speed.run_ns)}, ${speed.gflops.toFixed(1)} Gflop/s of ${speed.roof_gflops.toFixed(0)}, ${
      speed.gb_s.toFixed(1)} GB/s of ${speed.roof_gb_s.toFixed(1)}: ${formatShare(speed.roof_percent / 100)} of the nearer roof`],
    ["Errors", errors && `at most ${errors.max_units} units in the last place, ${errors.tolerance_units} are allowed`],
    ["Verified", kernel.verified_at],
    ["Compiler", kernel.compiler],
    ["Contract's key", kernel.key],
  ];
  return rows.filter((row): row is [string, string] => Boolean(row[1]));
}

// Of a receipt's statement, as it was signed.
export const statedOf = (statement: Record<string, unknown>): [string, string][] =>
  Object.entries(statement).map(([name, value]) => [name, typeof value === "object" ? JSON.stringify(value) : String(value)]);

@customElement("kernel-detail")
export class KernelDetail extends PageElement {
  @property() name = "";
  @state() private found?: KernelWhole;

  protected override willUpdate(changed: PropertyValues): void {
    if (changed.has("name")) void this.attempt(() => this.load(this.name));
  }

  private async load(name: string): Promise<void> {
    const found = await getKernel(name);
    if (name === this.name) this.found = found; // Else another one was opened meanwhile.
  }

  private rows(rows: [string, string][]): TemplateResult {
    return html`<dl class="receipt-rows">${rows.map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>`;
  }

  private text(name: string, text: string | null): TemplateResult | typeof nothing {
    return text ? html`<h2>${name}</h2><pre class="bytes" tabindex="0" aria-label=${name}>${text}</pre>` : nothing;
  }

  private receipt({receipt}: KernelWhole): TemplateResult | typeof nothing {
    if (!receipt) return nothing;
    return html`<details><summary>The receipt, as this machine's key signed it</summary>
      ${this.rows([...statedOf(receipt.statement), ["key", receipt.key], ["signature", receipt.signature]])}</details>`;
  }

  protected override render(): TemplateResult {
    const {found} = this;
    return html`<p><a href="#/silicon">← All kernels</a></p>
      <h1>${this.name}</h1>
      ${this.faultLine()}
      ${found ? html`${this.rows(termsOf(found))}${this.receipt(found)}${this.text("Contract", found.contract)}${this.text("Source", found.source)}` : nothing}`;
  }
}
