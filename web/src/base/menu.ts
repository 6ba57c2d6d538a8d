// A button that opens a menu: arrows move, Escape and a click elsewhere close it, and focus comes back.

import {html, type TemplateResult} from "lit";
import {customElement, property, state} from "lit/decorators.js";
import {PageElement} from "./element";

export interface MenuItem {
  label: string;
  detail?: string;
  run: () => void;
}

@customElement("menu-button")
export class MenuButton extends PageElement {
  @property() label = "";
  @property() title = "";
  @property({attribute: false}) items: MenuItem[] = [];
  @state() private isOpen = false;

  private readonly closeOutside = (event: PointerEvent): void => {
    if (!this.contains(event.target as Node)) this.close(false);
  };

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    document.removeEventListener("pointerdown", this.closeOutside);
  }

  private async open(): Promise<void> {
    this.isOpen = true;
    document.addEventListener("pointerdown", this.closeOutside);
    await this.updateComplete;
    this.entries[0]?.focus();
  }

  private close(refocuses: boolean): void {
    this.isOpen = false;
    document.removeEventListener("pointerdown", this.closeOutside);
    if (refocuses) this.querySelector<HTMLElement>("button")?.focus();
  }

  private get entries(): HTMLElement[] {
    return [...this.querySelectorAll<HTMLElement>("[role=menuitem]")];
  }

  private onKey(event: KeyboardEvent): void {
    const entries = this.entries;
    const at = entries.indexOf(document.activeElement as HTMLElement);
    const goal: Record<string, number> = {
      ArrowDown: (at + 1) % entries.length,
      ArrowUp: (at - 1 + entries.length) % entries.length,
      Home: 0,
      End: entries.length - 1,
    };
    if (event.key === "Escape") {
      event.stopPropagation();
      this.close(true);
    } else if (event.key === "Tab") {
      this.close(false);
    } else if (event.key in goal) {
      event.preventDefault();
      entries[goal[event.key]]?.focus();
    }
  }

  private choose(item: MenuItem): void {
    this.close(true);
    item.run();
  }

  protected override render(): TemplateResult {
    return html`
      <button type="button" class="quiet" aria-haspopup="menu" aria-expanded=${this.isOpen} title=${this.title}
        @click=${() => (this.isOpen ? this.close(true) : void this.open())}>${this.label}</button>
      ${this.isOpen
        ? html`<div class="menu" role="menu" aria-label=${this.title || this.label} @keydown=${this.onKey}>
            ${this.items.map((item) => html`
              <button type="button" role="menuitem" tabindex="-1" @click=${() => this.choose(item)}>
                <span>${item.label}</span>${item.detail ? html`<small>${item.detail}</small>` : ""}
              </button>`)}
          </div>`
        : ""}`;
  }
}
