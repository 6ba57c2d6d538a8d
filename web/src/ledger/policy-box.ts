// What the policy makes of a text: said before anything could leave.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {postJson} from "../hub/http";

interface Verdict {
  class: string;
  rule: string;
  action: string;
}

interface Explanation extends Verdict {
  provider: string;
  sources: (Verdict & {role: string; found: Record<string, number>})[];
}

const ACTIONS: Record<string, string> = {
  free: "may leave as it is",
  redacted: "may leave with placeholders for what is personal",
  ask: "leaves only if you say so",
  never: "never leaves",
};

@customElement("policy-box")
export class PolicyBox extends PageElement {
  @state() private explanation?: Explanation;

  private async explain(event: Event): Promise<void> {
    event.preventDefault();
    const content = this.querySelector("textarea")!.value;
    if (!content.trim()) return;
    const ask = {model: "auto", messages: [{role: "user", content}]};
    await this.attempt(async () => (this.explanation = await postJson<Explanation>("/hearth/v1/policy/explain", ask)));
  }

  private verdict(explanation: Explanation): TemplateResult {
    const found = explanation.sources.flatMap((source) => Object.entries(source.found));
    return html`<dl class="receipt-rows">
      <dt>To ${explanation.provider}</dt><dd>${ACTIONS[explanation.action] ?? explanation.action}</dd>
      <dt>Since it is</dt><dd>${explanation.class}, by rule “${explanation.rule}”</dd>
      <dt>Found in it</dt><dd>${found.length ? found.map(([type, n]) => `${n} × ${type.toLowerCase().replace(/_/g, " ")}`).join(", ") : "nothing personal"}</dd>
    </dl>`;
  }

  protected override render(): TemplateResult {
    return html`<h2 id="policy">What may leave</h2>
      <form @submit=${(e: Event) => void this.explain(e)}>
        <textarea rows="2" aria-label="A text to try the policy on" placeholder="Try the policy on a text; it stays here."></textarea>
        <div class="actions"><button>Explain</button></div>
      </form>
      ${this.faultLine()}
      <div role="status">${this.explanation ? this.verdict(this.explanation) : nothing}</div>`;
  }
}
