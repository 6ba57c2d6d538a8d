// Confidence against what came of it: of each tenth, how many answers stood, were advised, or went unadvised.

import {html, svg, type TemplateResult} from "lit";
import {formatShare} from "../base/format";
import {BINS, type ConfidenceBin} from "./sums";

const WIDTH = 600;
const HEIGHT = 140;
const PARTS = [
  {name: "stood", key: "sure", css: "hue-6"},
  {name: "advised", key: "advised", css: "hue-1"},
  {name: "unsure, not advised", key: "unadvised", css: "hue-5"},
] as const;

export function confidencePlot(bins: ConfidenceBin[]): TemplateResult {
  const most = Math.max(...bins.map((bin) => bin.sure + bin.advised + bin.unadvised), 1);
  const step = WIDTH / BINS;
  const bars = bins.map((bin, i) => {
    let y = HEIGHT;
    return PARTS.map(({name, key, css}) => {
      const height = (bin[key] / most) * HEIGHT;
      y -= height;
      return svg`<rect class=${css} x=${i * step + 2} y=${y} width=${step - 4} height=${height}><title>${formatShare(bin.from)} to ${
        formatShare(bin.from + 1 / BINS)} sure: ${bin[key]} ${name}</title></rect>`;
    });
  });
  const text = bins.filter((bin) => bin.sure + bin.advised + bin.unadvised > 0)
    .map((bin) => `from ${formatShare(bin.from)} sure: ${bin.sure} stood, ${bin.advised} advised, ${bin.unadvised} not advised`).join("; ");
  return html`<figure class="confidence">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="Answers by confidence: ${text}">${bars}
      <line x1="0" x2=${WIDTH} y1=${HEIGHT} y2=${HEIGHT} class="axis"></line></svg>
    <div class="ends" aria-hidden="true"><span>0 % sure</span><span>100 %</span></div>
    <figcaption><ul>${PARTS.map(({name, css}) => html`<li><i class="dot ${css}" aria-hidden="true"></i>${name}</li>`)}</ul></figcaption>
  </figure>`;
}
