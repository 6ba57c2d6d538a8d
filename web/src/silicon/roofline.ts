// A roofline: what memory and arithmetic allow at each intensity, and how near each kernel comes to it.
//
// Both axes are logarithmic.  Left of where the two roofs meet a kernel waits for memory, right of it for the
// multipliers.  The method: Williams, Waterman, Patterson, "Roofline", CACM 52(4), 2009.

import {html, nothing, svg, type TemplateResult} from "lit";
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
const HEIGHT = 470;
const LEFT = 52, RIGHT = 16, TOP = 16, BOTTOM = 40;
const LABEL_HEIGHT = 12;
const LETTER_WIDTH = 6.3;
const DOT = 4.5; // A point's radius.

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

interface Box {
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export interface Label {
  text: string;
  x: number; // Where it begins, and its base line.
  y: number;
  lead?: {x1: number; y1: number; x2: number; y2: number}; // To its point, where that is not beside it.
}

const overlap = (a: Box, b: Box): boolean => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
const isInside = (box: Box): boolean => box.left >= LEFT + 2 && box.right <= WIDTH - 2 && box.top >= 2 && box.bottom <= HEIGHT - BOTTOM;

// Places beside a point, the nearest first: to the right and to the left, ever further up and down.
const OFFSETS = [9, 40, 80, 130].flatMap((dx) => Array.from({length: 41}, (_, i) => ({dx, dy: (i - 20) * 6})))
  .sort((a, b) => a.dx * 0.7 + Math.abs(a.dy) - (b.dx * 0.7 + Math.abs(b.dy)));

// A name for each point, on no other name and no point; one that had to move is led to its point by a line.
export function placeLabels(points: {x: number; y: number; name: string}[], taken: Box[] = []): Label[] {
  const boxes = [...taken, ...points.map(({x, y}) => ({left: x - DOT, right: x + DOT, top: y - DOT, bottom: y + DOT}))];
  return points.map(({x, y, name}) => {
    const width = name.length * LETTER_WIDTH;
    const boxAt = (dx: number, dy: number, isLeft: boolean): Box => {
      const left = isLeft ? x - dx - width : x + dx;
      return {left, right: left + width, top: y + dy - LABEL_HEIGHT / 2, bottom: y + dy + LABEL_HEIGHT / 2};
    };
    const tried = OFFSETS.flatMap(({dx, dy}) => [boxAt(dx, dy, false), boxAt(dx, dy, true)]);
    const box = tried.find((one) => isInside(one) && !boxes.some((other) => overlap(one, other))) ?? tried[0];
    boxes.push(box);
    const middle = (box.top + box.bottom) / 2;
    const edge = box.left > x ? box.left - 1 : box.right + 1;
    const isBeside = Math.abs(middle - y) < LABEL_HEIGHT && Math.abs(edge - x) < 12;
    return {text: name, x: box.left, y: box.bottom - 3, lead: isBeside ? undefined : {x1: x, y1: y, x2: edge, y2: middle}};
  });
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
  const foot = y(Math.max(floor, gbS * 10 ** xs.from)); // Of memory's roof.
  const named = [
    {left: LEFT, right: LEFT + 130, top: foot - 24, bottom: foot - 4},
    ...ceilings.map((ceiling) => ({left: WIDTH - RIGHT - 130, right: WIDTH - RIGHT, top: y(ceiling.gops) - 18, bottom: y(ceiling.gops) - 1})),
  ];
  const labels = placeLabels(seen, named);
  const text = points.map((p) => `${p.name}: ${p.gops.toFixed(1)} Gop/s, ${formatShare(p.share)} of its roof`).join("; ");

  return html`<figure class="roofline"><div class="scroll" tabindex="0" role="group" aria-label="Roofline">
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="Roofline. ${text}">
      ${decades(xs).map((value) => svg`<line class="grid" x1=${x(value)} x2=${x(value)} y1=${TOP} y2=${HEIGHT - BOTTOM}></line>
        <text class="tick" x=${x(value)} y=${HEIGHT - BOTTOM + 16} text-anchor="middle">${shown(value)}</text>`)}
      ${decades(ys).map((value) => svg`<line class="grid" x1=${LEFT} x2=${WIDTH - RIGHT} y1=${y(value)} y2=${y(value)}></line>
        <text class="tick" x=${LEFT - 6} y=${y(value) + 4} text-anchor="end">${shown(value)}</text>`)}
      <text class="tick" x=${(LEFT + WIDTH - RIGHT) / 2} y=${HEIGHT - 6} text-anchor="middle">operations per byte</text>
      <text class="tick" x="12" y=${(TOP + HEIGHT - BOTTOM) / 2} text-anchor="middle" transform="rotate(-90 12 ${(TOP + HEIGHT - BOTTOM) / 2})">Gop/s</text>
      <path class="roof" d="M${x(Math.max(floor / gbS, 10 ** xs.from))} ${foot}L${x(top / gbS)} ${y(top)}"></path>
      <text class="roof-name" x=${x(10 ** xs.from) + 8} y=${foot - 10}>memory, ${gbS.toFixed(1)} GB/s</text>
      ${ceilings.map((ceiling) => svg`<path class="roof" d="M${x(ceiling.gops / gbS)} ${y(ceiling.gops)}H${WIDTH - RIGHT}"></path>
        <text class="roof-name" x=${WIDTH - RIGHT} y=${y(ceiling.gops) - 5} text-anchor="end">${ceiling.name}, ${ceiling.gops.toFixed(0)} Gop/s</text>`)}
      ${labels.map(({lead}) => (lead ? svg`<line class="lead" x1=${lead.x1} y1=${lead.y1} x2=${lead.x2} y2=${lead.y2}></line>` : nothing))}
      ${seen.map((p) => svg`<circle class="hue-${p.hue}" cx=${p.x} cy=${p.y} r=${DOT}><title>${p.name}: ${p.gops.toFixed(1)} Gop/s at ${
        p.intensity.toPrecision(2)} per byte, ${formatShare(p.share)} of its roof</title></circle>`)}
      ${labels.map((label) => svg`<text class="point-name" x=${label.x} y=${label.y}>${label.text}</text>`)}
    </svg></div></figure>`;
}
