// Memory as a picture: the budget as one bar, in which each model has its share, and how much of each model is
// there.

import {html, nothing, svg, type TemplateResult} from "lit";
import {formatBytes, formatShare} from "../base/format";
import type {MemoryReport, ModelMemory} from "../hub/types";

const HUES = 6; // Of the sheet's --hue-1 ... --hue-6.
const WIDTH = 1000;
const HEIGHT = 28;
const GAP = 2;

export interface Segment {
  name: string;
  bytes: number;
  x: number;
  width: number;
  hue: number;
}

// What of the budget whose weights take, largest first; widths add up to at most WIDTH.
export function segmentsOf(report: MemoryReport): Segment[] {
  const total = Math.max(report.bytes_max, report.bytes_used, 1);
  let x = 0;
  return report.models
    .filter((model) => heldBytes(model) > 0)
    .sort((a, b) => heldBytes(b) - heldBytes(a))
    .map((model, i) => {
      const bytes = heldBytes(model);
      const width = (bytes / total) * WIDTH;
      const segment = {name: model.name, bytes, x, width: Math.max(width - GAP, 1), hue: (i % HUES) + 1};
      x += width;
      return segment;
    });
}

// Of the budget: what was brought in for this hub, and what is on its way.
export function heldBytes(model: ModelMemory): number {
  return model.ready_bytes + model.wanted_bytes;
}

export function budgetPicture(report: MemoryReport): TemplateResult {
  const segments = segmentsOf(report);
  const used = report.bytes_max ? report.bytes_used / report.bytes_max : 0;
  const text = `${formatBytes(report.bytes_used)} of ${formatBytes(report.bytes_max)} for weights in use (${formatShare(used)})`;
  return html`<figure class="budget">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label=${text}>
      <rect class="room" width=${WIDTH} height=${HEIGHT} rx="4"></rect>
      ${segments.map((s) => svg`<rect class="hue-${s.hue}" x=${s.x} width=${s.width} height=${HEIGHT}><title>${s.name}: ${formatBytes(s.bytes)}</title></rect>`)}
    </svg>
    <figcaption>${text}
      ${segments.length
        ? html`<ul>${segments.map((s) => html`<li><i class="dot hue-${s.hue}" aria-hidden="true"></i>${s.name} ${formatBytes(s.bytes)}</li>`)}</ul>`
        : nothing}
    </figcaption>
  </figure>`;
}

// How much of one model is there: brought in, being read, in the page cache, on the disk.
export function modelBar(model: ModelMemory): TemplateResult {
  const total = Math.max(model.bytes, 1);
  const ready = Math.min(model.ready_bytes, total);
  const wanted = Math.min(model.wanted_bytes, total - ready);
  const cached = Math.max(Math.min(model.cached_bytes, total) - ready, 0);
  const part = (bytes: number): number => (bytes / total) * WIDTH;
  const text = `${formatShare(ready / total)} in use, ${formatShare(Math.min(model.cached_bytes, total) / total)} in memory` +
    (wanted ? `, ${formatShare(wanted / total)} being read` : "");
  return html`<svg class="there" viewBox="0 0 ${WIDTH} 8" preserveAspectRatio="none" role="img" aria-label=${text}>
    <title>${text}</title>
    <rect class="room" width=${WIDTH} height="8"></rect>
    <rect class="cached" x=${part(ready)} width=${part(cached)} height="8"></rect>
    <rect class="wanted" x=${part(ready)} width=${part(wanted)} height="8"></rect>
    <rect class="ready" width=${part(ready)} height="8"></rect>
  </svg>`;
}
