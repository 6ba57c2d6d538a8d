// Components without a shadow: one style sheet, labels that refer across them, and plain queries in tests.

import {LitElement} from "lit";

export class PageElement extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }
}
