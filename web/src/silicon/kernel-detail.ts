// One kernel whole: its contract, and its receipt where it was verified here.

import {html, nothing, type PropertyValues, type TemplateResult} from "lit";
import {customElement, property, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {getKernel} from "../hub/kernels";

// Members that are long texts: they are shown below the others, as they are.
const TEXTS = ["contract", "source"];

export function rowsOf(value: Record<string, unknown>): [string, string][] {
  return Object.entries(value)
    .filter(([name, member]) => !TEXTS.includes(name) && member !== null && member !== "")
    .map(([name, member]) => [name.replaceAll("_", " "), typeof member === "object" ? JSON.stringify(member, null, 1) : String(member)]);
}

@customElement("kernel-detail")
export class KernelDetail extends PageElement {
  @property() name = "";
  @state() private found?: Record<string, unknown>;
  @state() private fault = "";

  protected override updated(changed: PropertyValues): void {
    if (changed.has("name")) void this.load();
  }

  private async load(): Promise<void> {
    try {
      this.found = await getKernel(this.name);
    } catch (error) {
      this.fault = (error as Error).message;
    }
  }

  private rows(value: Record<string, unknown>): TemplateResult {
    return html`<dl class="receipt-rows">${rowsOf(value).map(([name, text]) => html`<dt>${name}</dt><dd>${text}</dd>`)}</dl>`;
  }

  private texts(value: Record<string, unknown>): TemplateResult[] {
    return TEXTS.filter((name) => typeof value[name] === "string" && value[name] !== "").map((name) =>
      html`<h2>${name === "source" ? "Source" : "Contract"}</h2><pre class="bytes" tabindex="0" aria-label=${name}>${value[name] as string}</pre>`);
  }

  protected override render(): TemplateResult {
    const {receipt, ...rest} = this.found ?? {};
    return html`<p><a href="#/silicon">All kernels</a></p>
      <h1>${this.name}</h1>
      ${this.fault ? html`<p class="fault" role="alert">${this.fault}</p>` : nothing}
      ${this.found ? html`${this.rows(rest)}${receipt ? html`<h2>Receipt</h2>${this.rows(receipt as Record<string, unknown>)}` : nothing}${this.texts(rest)}` : nothing}`;
  }
}
