// A roofline: what memory and arithmetic allow at each intensity, and how near each kernel comes to it.
//
// Both axes are logarithmic.  Left of where the two roofs meet a kernel waits for memory, right of it for the
// multipliers.  The method: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.

import {html, svg, type TemplateResult} from "lit";
import {formatShare} from "../base/format";

export interface Point {
  name: string;
  intensity: number; // Operations per byte moved.
  gops: number; // 10^9 operations per second.
  share: number; // Of its roof.
  hue: number;
}

export interface Ceiling {
  name: string;
  gops: number;
}

const WIDTH = 760;
const HEIGHT = 400;
const LEFT = 52, RIGHT = 16, TOP = 16, BOTTOM = 40;
const LABEL_HEIGHT = 13;

export interface Scale {
  from: number; // log10.
  to: number;
}

// Whole decades around all of them, at least two.
export function scaleOf(values: number[]): Scale {
  const logs = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  if (!logs.length) return {from: -1, to: 1};
  const from = Math.floor(Math.min(...logs));
  return {from, to: Math.max(Math.ceil(Math.max(...logs)), from + 2)};
}

export const place = (scale: Scale, value: number, begin: number, end: number): number =>
  begin + ((Math.log10(value) - scale.from) / (scale.to - scale.from)) * (end - begin);

// What a kernel of that intensity could reach under this memory and this ceiling.
export const roofAt = (intensity: number, gbS: number, ceiling: number): number => Math.min(intensity * gbS, ceiling);

interface Label {
  x: number;
  y: number;
  text: string;
  anchor: "start" | "end";
}

// Beside its point, moved down or up until it lies on no other.
export function placeLabels(points: {x: number; y: number; name: string}[], widthOf = (text: string) => text.length * 7): Label[] {
  const placed: (Label & {from: number; to: number})[] = [];
  for (const point of [...points].sort((a, b) => a.y - b.y)) {
    const isLeft = point.x + 10 + widthOf(point.name) > WIDTH - RIGHT;
    const x = point.x + (isLeft ? -9 : 9);
    const [from, to] = isLeft ? [x - widthOf(point.name), x] : [x, x + widthOf(point.name)];
    const isFree = (y: number): boolean =>
      placed.every((other) => Math.abs(other.y - y) >= LABEL_HEIGHT || other.to < from || other.from > to);
    const offsets = [0, 1, -1, 2, -2, 3, -3, 4, -4, 5, 6].map((n) => point.y + 4 + n * LABEL_HEIGHT).filter((y) => y < HEIGHT - BOTTOM);
    const y = offsets.find(isFree) ?? point.y + 4;
    placed.push({x, y, text: point.name, anchor: isLeft ? "end" : "start", from, to});
  }
  return placed;
}

const decades = ({from, to}: Scale): number[] => Array.from({length: to - from + 1}, (_, i) => 10 ** (from + i));
const shown = (value: number): string => (value >= 1 ? value.toLocaleString("en") : String(value));

export function roofline(points: Point[], gbS: number, ceilings: Ceiling[]): TemplateResult {
  const xs = scaleOf([...points.map((p) => p.intensity), ...ceilings.map((c) => c.gops / gbS)]);
  const ys = scaleOf([...points.map((p) => p.gops), ...ceilings.map((c) => c.gops)]);
  const x = (value: number): number => place(xs, value, LEFT, WIDTH - RIGHT);
  const y = (value: number): number => place(ys, value, HEIGHT - BOTTOM, TOP);
  const floor = 10 ** ys.from;
  const top = Math.max(...ceilings.map((c) => c.gops));
  const seen = points.map((p) => ({...p, x: x(p.intensity), y: y(p.gops)}));
  const text = points.map((p) => `${p.name}: ${p.gops.toFixed(1)} Gop/s, ${formatShare(p.share)} of its roof`).join("; ");

  return html`<figure class="roofline"><div class="scroll" tabindex="0" role="group" aria-label="Roofline">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Roofline. ${text}">
      ${decades(xs).map((value) => svg`<line class="grid" x1=${x(value)} x2=${x(value)} y1=${TOP} y2=${HEIGHT - BOTTOM}></line>
        <text class="tick" x=${x(value)} y=${HEIGHT - BOTTOM + 16} text-anchor="middle">${shown(value)}</text>`)}
      ${decades(ys).map((value) => svg`<line class="grid" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${y(value)} y2=${y(value)}></line>
        <text class="tick" x=${LEFT - 6} y=${y(value) + 4} text-anchor="end">${shown(value)}</text>`)}
      <text class="tick" x=${(LEFT + WIDTH - RIGHT) / 2} y=${HEIGHT - 6} text-anchor="middle">operations per byte</text>
      <text class="tick" x="12" y=${(TOP + HEIGHT - BOTTOM) / 2} text-anchor="middle" transform="rotate(-90 12 ${(TOP + HEIGHT - BOTTOM) / 2})">Gop/s</text>
      <path class="roof" d="M${x(Math.max(floor / gbS, 10 ** xs.from))} ${y(Math.max(floor, gbS * 10 ** xs.from))}L${x(top / gbS)} ${y(top)}"></path>
      <text class="roof-name" x=${x(10 ** xs.from) + 8} y=${y(Math.max(floor, gbS * 10 ** xs.from)) - 10}>memory, ${gbS.toFixed(1)} GB/s</text>
      ${ceilings.map((ceiling) => svg`<path class="roof" d="M${x(ceiling.gops / gbS)} ${y(ceiling.gops)}H${WIDTH - RIGHT}"></path>
        <text class="roof-name" x=${WIDTH - RIGHT} y=${y(ceiling.gops) - 5} text-anchor="end">${ceiling.name}, ${ceiling.gops.toFixed(0)} Gop/s</text>`)}
      ${seen.map((p) => svg`<circle class="hue-${p.hue}" cx=${p.x} cy=${p.y} r="5"><title>${p.name}: ${p.gops.toFixed(1)} Gop/s at ${
        p.intensity.toPrecision(2)} per byte, ${formatShare(p.share)} of its roof</title></circle>`)}
      ${placeLabels(seen).map((label) => svg`<text class="point-name" x=${label.x} y=${label.y} text-anchor=${label.anchor}>${label.text}</text>`)}
    </svg></div></figure>`;
}
