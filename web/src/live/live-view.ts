// What the hub does this moment.

import {html, nothing, svg, type TemplateResult} from "lit";
import {customElement} from "lit/decorators.js";
import {PageElement} from "../base/element";
import {formatBytes, formatShare} from "../base/format";
import {Watch} from "../base/notifier";
import {live, SAMPLES_MAX, type Sample} from "./samples";

const WIDTH = 600;
const HEIGHT = 90;

interface Chart {
  name: string;
  value: (sample: Sample) => number;
  show: (value: number) => string;
  least: number; // That the scale reaches at least.
}

const CHARTS: Chart[] = [
  {name: "Tokens written per second", value: (s) => s.decode, show: (v) => v.toFixed(v < 10 ? 1 : 0), least: 10},
  {name: "Prompt tokens per second", value: (s) => s.prefill, show: (v) => v.toFixed(0), least: 100},
  {name: "Answers in the batch", value: (s) => s.running, show: (v) => v.toFixed(0), least: 4},
  {name: "Answers waiting", value: (s) => s.waiting, show: (v) => v.toFixed(0), least: 4},
  {name: "Tokens in a batch", value: (s) => s.perStep, show: (v) => v.toFixed(v < 10 ? 1 : 0), least: 4},
  {name: "Pages of keys and values", value: (s) => s.pages, show: (v) => v.toFixed(0), least: 16},
  {name: "Of these, for prompts to come", value: (s) => s.pagesCached, show: (v) => v.toFixed(0), least: 16},
  {name: "Keys and values, of budget", value: (s) => s.kvShare, show: formatShare, least: 1},
  {name: "Weights, of budget", value: (s) => s.weightShare, show: formatShare, least: 1},
];

// A chart for each sensor that there is.
const chartOf = (sensor: string): Chart =>
  ({name: `${sensor}, °C`, value: (s) => s.celsius[sensor] ?? 0, show: (v) => v.toFixed(0), least: 100});

// The line of the last samples, the newest at the right edge.
export function pathOf(values: number[], top: number): string {
  const step = WIDTH / (SAMPLES_MAX - 1);
  const x0 = WIDTH - (values.length - 1) * step;
  return values.map((value, i) => `${i ? "L" : "M"}${(x0 + i * step).toFixed(1)} ${(HEIGHT - (value / top) * HEIGHT).toFixed(1)}`).join("");
}

@customElement("live-view")
export class LiveView extends PageElement {
  private unwatch?: () => void;

  constructor() {
    super();
    new Watch(this, live);
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.unwatch = live.watch();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.unwatch?.();
  }

  private chart(chart: Chart): TemplateResult {
    const values = live.samples.map(chart.value);
    const now = values.at(-1) ?? 0;
    const top = Math.max(...values, chart.least);
    return html`<figure class="live">
      <figcaption><span>${chart.name}</span><strong>${chart.show(now)}</strong></figcaption>
      <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${chart.name}: ${chart.show(now)} now, ${chart.show(Math.max(...values, 0))} at most">
        <line class="axis" x1="0" x2=${WIDTH} y1=${HEIGHT} y2=${HEIGHT}></line>
        ${values.length > 1 ? svg`<path d=${pathOf(values, top)}></path>` : nothing}
      </svg></figure>`;
  }

  private totals(): TemplateResult {
    const value = (name: string): number => live.metrics.get(name) ?? 0;
    const drafted = value("hearth_drafted_tokens_total");
    const prompt = value("hearth_prompt_tokens_total");
    const rows: [string, string][] = [
      ["Requests", value("hearth_requests_total").toLocaleString("en")],
      ["Answered", value("hearth_answered_total").toLocaleString("en")],
      ["Failed", value("hearth_failed_total").toLocaleString("en")],
      ["Cancelled", value("hearth_cancelled_total").toLocaleString("en")],
      ["Tokens written", value("hearth_completion_tokens_total").toLocaleString("en")],
      ["Prompts from the cache", prompt ? formatShare(value("hearth_cached_tokens_total") / prompt) : "–"],
      ["Drafts that held", drafted ? formatShare(value("hearth_accepted_tokens_total") / drafted) : "–"],
      ["Weights in memory", formatBytes(value("hearth_weight_bytes_used"))],
      ["Connections", value("hearth_http_connections").toLocaleString("en")],
    ];
    return html`<dl class="figures big">${rows.map(([name, text]) => html`<div><dt>${name}</dt><dd>${text}</dd></div>`)}</dl>`;
  }

  protected override render(): TemplateResult {
    return html`<div class="page">
      <h1>Live</h1>
      ${live.error ? html`<p class="fault" role="alert">${live.error}</p>` : nothing}
      <div class="charts">${[...CHARTS, ...Object.keys(live.samples.at(-1)?.celsius ?? {}).map(chartOf)].map((chart) => this.chart(chart))}</div>
      <h2>Since the hub started</h2>
      ${this.totals()}
      <p class="note">All of it, for Prometheus: <a href="/metrics" target="_blank" rel="noopener">/metrics</a></p>
    </div>`;
  }
}
