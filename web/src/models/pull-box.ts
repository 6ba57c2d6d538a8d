// A box to pull a model from a registry, and the pulls with how far they are.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatMs} from "../base/format";
import {Watch} from "../base/notifier";
import {sumOf} from "./pull-lines";
import {pulls, type Pull} from "./pull-store";

@customElement("pull-box")
export class PullBox extends PageElement {
  @state() private name = "";

  constructor() {
    super();
    new Watch(this, pulls);
  }

  private start(): void {
    const name = this.name.trim();
    if (!name) return;
    pulls.start(name);
    this.name = "";
  }

  private tell(pull: Pull): string {
    const {progress} = pull;
    const {total, completed} = sumOf(progress.files);
    const resumed = pull.wentOnAt > 0 && `went on at ${formatBytes(pull.wentOnAt)}`;
    if (pull.state === "done") return [progress.problem ? `is here, but can't run: ${progress.problem}` : "is here", resumed].filter(Boolean).join(" · ");
    const left = pull.bytesPerSecond > 0 && total > completed ? ((total - completed) / pull.bytesPerSecond) * 1000 : 0;
    return [
      completed > 0 ? `${formatBytes(completed)}${total ? ` of ${formatBytes(total)}` : ""}` : progress.status || "asking the registry",
      pull.state === "running" && pull.bytesPerSecond > 0 && `${formatBytes(pull.bytesPerSecond)}/s`,
      pull.state === "running" && left > 1000 && `${formatMs(left)} left`,
      resumed,
      pull.state === "stopped" && "stopped; what came is kept",
    ].filter(Boolean).join(" · ");
  }

  private actions(pull: Pull): TemplateResult {
    const button = (label: string, act: () => void): TemplateResult =>
      html`<button type="button" class="quiet" aria-label="${label}: ${pull.name}" @click=${act}>${label}</button>`;
    return html`<div class="actions">
      ${pull.state === "running" ? button("Stop", () => pulls.stop(pull)) : nothing}
      ${pull.state === "broken" || pull.state === "stopped" ? button("Go on", () => pulls.start(pull.name)) : nothing}
      ${pull.state === "running" ? nothing : button("Dismiss", () => pulls.forget(pull))}
    </div>`;
  }

  private pull(pull: Pull): TemplateResult {
    const {total, completed} = sumOf(pull.progress.files);
    return html`<li class="pull ${pull.state}">
      <div class="grow-text"><strong>${pull.progress.model || pull.name}</strong>
        <span role=${pull.state === "running" ? nothing : "status"} class=${pull.state === "done" ? "good" : "note"}>${this.tell(pull)}</span>
        ${pull.state === "done" ? nothing
          : html`<progress aria-label="Pull of ${pull.name}" max=${total || 1} value=${total ? completed : nothing}></progress>`}
        ${pull.progress.error ? html`<p class="fault" role="alert">${pull.progress.error}</p>` : nothing}</div>
      ${this.actions(pull)}</li>`;
  }

  protected override render(): TemplateResult {
    return html`<form class="pull-form" @submit=${(e: Event) => (e.preventDefault(), this.start())}>
        <label for="pull-name">Pull a model</label>
        <input id="pull-name" type="text" autocomplete="off" autocapitalize="off" spellcheck="false" placeholder="ORG/REPO:Q4_K_M or NAME:TAG"
          aria-describedby="pull-note" .value=${this.name} @input=${(e: Event) => (this.name = (e.target as HTMLInputElement).value)}>
        <button ?disabled=${!this.name.trim()}>Pull</button>
      </form>
      <p class="note" id="pull-note">From Hugging Face (<code>ORG/REPO:Q4_K_M</code>) or Ollama's library (<code>NAME:TAG</code>). The hub asks the registry for it; nothing else of this machine goes there.</p>
      ${pulls.list.length ? html`<ul class="pulls" aria-label="Pulls">${pulls.list.map((pull) => this.pull(pull))}</ul>` : nothing}`;
  }
}
