// Money and bytes by day, with the budget of a day beside them.

import {html, type PropertyValues, type TemplateResult} from "lit";
import {customElement, property} from "lit/decorators.js";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import {PageElement} from "../base/element";
import {formatBytes, formatUsd} from "../base/format";
import type {Day} from "./sums";

const HEIGHT = 220;
const DAY_S = 86_400;
const BYTES_MIN = 4096;
// A budget that is so many times what was spent would flatten the rest: the legend has it then.
const BUDGET_SHOWN_UP_TO = 8;

const shownUsd = (_: uPlot, usd: number | null): string => (usd === null ? "–" : formatUsd(Math.round(usd * 1e6)));

export function inkOf(element: Element, name: string): string {
  // The sheet's colours are light-dark() pairs, which a canvas can't read: a probe's computed colour can.
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

@customElement("day-plot")
export class DayPlot extends PageElement {
  @property({attribute: false}) days: Day[] = [];
  @property({type: Number}) budgetMicro = 0;
  private plot?: uPlot;
  private readonly scheme = matchMedia("(prefers-color-scheme: dark)");
  private readonly redraw = (): void => this.draw();
  private readonly size = new ResizeObserver(() => this.plot?.setSize({width: this.clientWidth, height: HEIGHT}));

  override connectedCallback(): void {
    super.connectedCallback();
    this.size.observe(this);
    this.scheme.addEventListener("change", this.redraw);
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.size.disconnect();
    this.scheme.removeEventListener("change", this.redraw);
    this.plot?.destroy();
    this.plot = undefined;
  }

  protected override updated(changed: PropertyValues): void {
    if (changed.has("days") || changed.has("budgetMicro")) this.draw();
  }

  private draw(): void {
    this.plot?.destroy();
    const ink = inkOf(this, "--soft");
    const line = inkOf(this, "--line");
    const axis = {stroke: ink, grid: {stroke: line, width: 1}, ticks: {stroke: line}};
    const options: uPlot.Options = {
      width: Math.max(this.clientWidth, 200),
      height: HEIGHT,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: {
        x: {range: (_, min, max) => [min - DAY_S / 2, max + DAY_S / 2]},
        usd: {range: () => [0, this.topUsd()]},
        bytes: {range: (_, __, max) => [0, Math.max(max, BYTES_MIN) * 1.05]},
      },
      axes: [
        {...axis, space: 90, incrs: [1, 2, 7, 14, 28, 56].map((n) => n * DAY_S), values: "{YYYY}-{MM}-{DD}"},
        {...axis, scale: "usd", size: 76, values: (_, ticks) => ticks.map((usd) => formatUsd(Math.round(usd * 1e6)))},
        {...axis, scale: "bytes", side: 1, size: 76, grid: {show: false}, values: (_, ticks) => ticks.map(formatBytes)},
      ],
      series: [
        {label: "Day", value: "{YYYY}-{MM}-{DD}"},
        {label: "Spent", scale: "usd", stroke: inkOf(this, "--ember"), width: 2, points: {show: true}, value: shownUsd},
        {label: "Budget", scale: "usd", stroke: inkOf(this, "--fault"), dash: [6, 4], points: {show: false}, value: shownUsd},
        {label: "Bytes out", scale: "bytes", stroke: inkOf(this, "--hue-2"), width: 2, points: {show: true}, value: (_, bytes: number | null) => (bytes === null ? "–" : formatBytes(bytes))},
      ],
    };
    this.plot = new uPlot(options, [
      this.days.map((day) => day.at),
      this.days.map((day) => day.costMicro / 1e6),
      this.days.map(() => this.budgetMicro / 1e6),
      this.days.map((day) => day.bytesOut),
    ], this);
  }

  private topUsd(): number {
    const spent = Math.max(...this.days.map((day) => day.costMicro), 0) / 1e6;
    const budget = this.budgetMicro / 1e6;
    const isNear = !spent || budget <= spent * BUDGET_SHOWN_UP_TO;
    return Math.max(isNear ? budget : spent, 1e-5) * 1.1;
  }

  protected override render(): TemplateResult {
    return html``;
  }
}
