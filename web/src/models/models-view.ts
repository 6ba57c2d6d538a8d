// The models that the hub can ask: what they are, where their weights are this moment, and what to do with them.

import {html, nothing, type TemplateResult} from "lit";
import {customElement, state} from "lit/decorators.js";
import {repeat} from "lit/directives/repeat.js";
import {PageElement} from "../base/element";
import {formatBytes, formatCount, formatMs} from "../base/format";
import {Watch} from "../base/notifier";
import {chat} from "../chat/chat-store";
import {models} from "../hub/models";
import type {ModelInfo, ModelMemory, UpstreamInfo} from "../hub/types";
import "./machine-box";
import {budgetPicture, modelBar} from "./memory-picture";
import "./pull-box";

// Names that leave the choice to the hub.
const ROUTING = ["auto", "local"];
const PULLED = "pulled"; // The source of models that a pull put here, which alone are the hub's to delete.

const SOURCES: Record<string, string> = {embedded: "part of this program", config: "from your folders", [PULLED]: "pulled"};

const STATES: Record<string, string> = {
  cold: "on the disk: the first answer waits for it",
  streaming: "being brought into memory",
  cached: "in memory; the system may take it back",
  pinned: "in memory, and kept there",
};

// What a person can do with a model: each with what is said when it is done.
const CHANGES = {
  load: {doing: "Loading…", told: (name: string, ms: number) => `${name} is loaded, after ${formatMs(ms)}.`},
  unload: {doing: "Unloading…", told: (name: string) => `${name} is unloaded.`},
  pin: {doing: "Pinning…", told: (name: string) => `${name} stays in memory until the hub ends; [models] pinned in hearth.toml keeps it for good.`},
  unpin: {doing: "Unpinning…", told: (name: string) => `${name} may be unloaded again.`},
  remove: {doing: "Deleting…", told: (name: string) => `${name} is deleted.`},
} as const;
type Change = keyof typeof CHANGES;

export interface ModelFamily {
  base: ModelInfo;
  adapters: ModelInfo[];
}

// Models with their adapters, those that are in memory first.
export function familiesOf(list: ModelInfo[], memoryOf: (name: string) => ModelMemory | undefined): ModelFamily[] {
  const bases = list.filter((model) => !ROUTING.includes(model.id) && !model.hearth.adapter);
  const weight = (model: ModelInfo): number => (memoryOf(model.id)?.loaded ? 2 : 0) + (model.hearth.place ? 0 : 1);
  return bases
    .map((base) => ({base, adapters: list.filter((other) => other.hearth.adapter && other.id.startsWith(`${base.id}@`))}))
    .sort((a, b) => weight(b.base) - weight(a.base) || a.base.id.localeCompare(b.base.id));
}

// `ids` in the order in which they were shown before, so that nothing moves under somebody's hands when a model comes
// into memory; each new one behind the one that it follows in `ids`.
export function inOrderOf(before: string[], ids: string[]): string[] {
  const order = before.filter((id) => ids.includes(id));
  for (const [i, id] of ids.entries()) {
    if (!order.includes(id)) order.splice(i ? order.indexOf(ids[i - 1]) + 1 : 0, 0, id);
  }
  return order;
}

@customElement("models-view")
export class ModelsView extends PageElement {
  @state() private search = "";
  @state() private busy = "";
  @state() private told = "";
  private order: string[] = []; // Of the list, as long as this view is open.

  constructor() {
    super();
    new Watch(this, models);
  }

  private try(name: string): void {
    chat.startNew();
    chat.setModel(name);
    location.hash = "#/chat";
  }

  private async change(name: string, what: Change): Promise<void> {
    this.busy = `${what} ${name}`;
    this.told = this.fault = "";
    const started = performance.now();
    if (await this.attempt(() => models[what](name))) this.told = CHANGES[what].told(name, performance.now() - started);
    this.busy = "";
  }

  private async deleteModel({id, hearth}: ModelInfo): Promise<void> {
    if (!confirm(`Delete ${id} (${formatBytes(hearth.bytes)})? Its files are deleted; it can be pulled again.`)) return;
    const at = this.shown().findIndex(({base}) => base.id === id);
    await this.change(id, "remove");
    await this.updateComplete;
    const left = this.querySelectorAll(".model");
    if (!this.fault) left.item(Math.min(at, left.length - 1))?.querySelector("button")?.focus();
  }

  // While it is busy it is not disabled but deaf, so that it keeps the focus.
  private changeButton(model: ModelInfo, what: Change, label: string): TemplateResult {
    const name = model.id;
    const isBusy = this.busy.endsWith(` ${name}`);
    const act = (): Promise<void> => (what === "remove" ? this.deleteModel(model) : this.change(name, what));
    return html`<button type="button" class="quiet" aria-disabled=${isBusy} aria-label="${label} ${name}"
      @click=${() => isBusy || void act()}>${this.busy === `${what} ${name}` ? CHANGES[what].doing : label}</button>`;
  }

  private facts(model: ModelInfo): string {
    const {architecture, quantization, bytes, context_tokens, source, place} = model.hearth;
    return [
      architecture, quantization, bytes > 0 && formatBytes(bytes),
      context_tokens > 0 && `${formatCount(context_tokens, "token")} of context`,
      place || (source && (SOURCES[source] ?? `from ${source}`)),
    ].filter(Boolean).join(" · ");
  }

  private use(memory: ModelMemory): string {
    return [
      memory.uses > 0 && `used ${formatCount(memory.uses, "time")}`,
      memory.leases > 0 && `held by ${formatCount(memory.leases, "request")}`,
      memory.loaded && `loaded in ${formatMs(memory.load_ms)}`,
      memory.waited_ms >= 1 && `answers waited ${formatMs(memory.waited_ms)} for it`,
    ].filter(Boolean).join(" · ");
  }

  private actions(model: ModelInfo, memory: ModelMemory | undefined): TemplateResult {
    const {id, hearth} = model;
    const isPinned = memory?.state === "pinned";
    // Load and Evict are one button, as are Pin and Unpin: what was pressed is still there afterwards.
    return html`<div class="actions">
      <button type="button" class="quiet" @click=${() => this.try(id)} aria-label="Try ${id}">Try</button>
      ${memory && !isPinned ? (memory.loaded ? this.changeButton(model, "unload", "Evict") : this.changeButton(model, "load", "Load")) : nothing}
      ${memory ? (isPinned ? this.changeButton(model, "unpin", "Unpin") : this.changeButton(model, "pin", "Pin")) : nothing}
      ${hearth.source === PULLED ? this.changeButton(model, "remove", "Delete") : nothing}
    </div>`;
  }

  private family({base, adapters}: ModelFamily): TemplateResult {
    const memory = models.memoryOf(base.id);
    return html`<li class="model">
      <div class="head">
        <h2>${base.id}</h2>
        ${memory ? html`<span class="chip ${memory.state}" title=${STATES[memory.state]}>${memory.state}</span>` : nothing}
        ${base.hearth.leaves_this_machine ? html`<span class="chip away">leaves this machine</span>` : nothing}
      </div>
      <p class="note">${this.facts(base)}</p>
      ${memory ? modelBar(memory) : nothing}
      ${memory && this.use(memory) ? html`<p class="note">${this.use(memory)}</p>` : nothing}
      ${adapters.length
        ? html`<ul class="adapters" aria-label="Adapters of ${base.id}">${adapters.map((adapter) => html`<li>
            <span>@${adapter.hearth.adapter}</span> <small>${formatBytes(adapter.hearth.bytes)}</small>
            <button type="button" class="quiet" aria-label="Try ${adapter.id}" @click=${() => this.try(adapter.id)}>Try</button></li>`)}</ul>`
        : nothing}
      ${this.actions(base, memory)}
    </li>`;
  }

  private upstream(server: UpstreamInfo): TemplateResult {
    return html`<tr><th scope="row">${server.name}</th><td>${server.url}</td><td>${server.is_here ? "this machine" : "elsewhere"}</td>
      <td>${server.problem || (server.circuit === "closed" ? "answers" : server.circuit)}</td>
      <td class="number">${server.models}</td><td class="number">${server.requests}</td><td class="number">${server.failures}</td></tr>`;
  }

  private upstreams(): TemplateResult | typeof nothing {
    const servers = models.memory?.upstreams ?? [];
    if (!servers.length) return nothing;
    return html`<section aria-labelledby="servers"><h2 id="servers">Other servers</h2>
      <div class="scroll" tabindex="0" role="group" aria-labelledby="servers"><table>
        <thead><tr><th>Name</th><th>Address</th><th>Where</th><th>State</th><th>Models</th><th>Requests</th><th>Failures</th></tr></thead>
        <tbody>${servers.map((server) => this.upstream(server))}</tbody></table></div></section>`;
  }

  private prefixes(): TemplateResult | typeof nothing {
    const kept = models.memory?.snapshots;
    if (!kept?.files) return nothing;
    return html`<p class="note">${formatCount(kept.files, "prompt")} kept on disk (${formatBytes(kept.bytes)});
      ${formatCount(kept.restored_tokens, "token")} were read from there instead of computed.</p>`;
  }

  private shown(): ModelFamily[] {
    const families = new Map(familiesOf(models.list, (name) => models.memoryOf(name)).map((family) => [family.base.id, family]));
    this.order = inOrderOf(this.order, [...families.keys()]);
    const wanted = this.search.trim().toLowerCase();
    return this.order.map((id) => families.get(id)!)
      .filter(({base, adapters}) => [base, ...adapters].some((model) => model.id.toLowerCase().includes(wanted)));
  }

  protected override render(): TemplateResult {
    const families = this.shown();
    return html`<div class="page">
      <h1>Models</h1>
      ${models.error ? html`<p class="fault" role="alert">${models.error}</p>` : nothing}
      ${models.memory ? budgetPicture(models.memory) : nothing}
      ${this.prefixes()}
      <div role="status" class="told">${this.told}</div>
      ${this.faultLine()}
      ${models.list.length > 8
        ? html`<input type="search" aria-label="Find a model" placeholder="Find a model" .value=${this.search}
            @input=${(e: Event) => (this.search = (e.target as HTMLInputElement).value)}>` : nothing}
      <ul class="model-list">${repeat(families, ({base}) => base.id, (family) => this.family(family))}</ul>
      <section aria-labelledby="pull"><h2 id="pull">More models</h2><pull-box></pull-box></section>
      <machine-box></machine-box>
      ${this.upstreams()}
    </div>`;
  }
}
