// Components without a shadow: one style sheet, labels that refer across them, and plain queries in tests.
// What each asks of the hub may fail; the sentence that says why is shown in one way.

import {html, LitElement, nothing, type TemplateResult} from "lit";
import {state} from "lit/decorators.js";

export class PageElement extends LitElement {
  @state() protected fault = ""; // Why what was asked last did not work; empty if it did.

  protected override createRenderRoot(): HTMLElement {
    return this;
  }

  // Does what may fail; whether it worked.
  protected async attempt(act: () => Promise<unknown>): Promise<boolean> {
    try {
      await act();
      this.fault = "";
      return true;
    } catch (error) {
      this.fault = (error as Error).message;
      return false;
    }
  }

  protected faultLine(): TemplateResult | typeof nothing {
    return this.fault ? html`<p class="fault" role="alert">${this.fault}</p>` : nothing;
  }
}
