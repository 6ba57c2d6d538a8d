// The program's pictures, drawn by Mermaid in a frame: nothing of it is fetched before somebody asks.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {PICTURES} from "./architecture";

const HEIGHT_AT_FIRST = 480;

@customElement("architecture-picture")
export class ArchitecturePicture extends PageElement {
  @state() private shown?: string;
  private readonly scheme = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = (): void => this.requestUpdate();

  override connectedCallback(): void {
    super.connectedCallback();
    this.scheme.addEventListener("change", this.redraw);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.scheme.removeEventListener("change", this.redraw);
  }

  private get theme(): string {
    const chosen = document.documentElement.style.colorScheme;
    return chosen === "light" || chosen === "dark" ? chosen : this.scheme.matches ? "dark" : "light";
  }

  protected override render(): TemplateResult {
    const picture = PICTURES.find((row) => row.id === this.shown);
    return html`<div class="actions">${PICTURES.map((row) => html`<button type="button" class="quiet" aria-pressed=${row.id === this.shown}
        @click=${() => (this.shown = row.id)}>${row.name}</button>`)}</div>
      ${picture
        ? html`<p class="note">${picture.about}</p>
            <iframe class="picture" title="Picture: ${picture.name}" src="/diagram.html#${picture.id}/${this.theme}" height=${HEIGHT_AT_FIRST}></iframe>
            <details class="note"><summary>As text</summary><pre class="bytes" tabindex="0" aria-label="The picture as Mermaid's text">${picture.source}</pre></details>`
        : nothing}`;
  }
}
