// How sure a model was of each token, as a faint underline of what it wrote.
//
// The text on the page is rendered Markdown, so tokens are found in it by walking its text nodes beside
// the source: what is rendered is what was written, in the same order, less the marks.  Ranges go into
// the CSS Custom Highlight API, which paints without touching the DOM: selections, copies and the blocks of
// a stream stay what they are.  A browser without it shows no underline.

import type {TokenChance} from "../hub/chat";

// Below each probability a stronger underline.
export const LEVELS = [
  {name: "unsure-1", below: 0.7},
  {name: "unsure-2", below: 0.4},
  {name: "unsure-3", below: 0.15},
] as const;

// How far a token's text may be from where the last one ended.
const LOOK_AHEAD = 64;
// After marks that are not shown (a fence, a link's address) so many letters say where the source goes on.
const RESUME_LENGTH = 6;

export interface Place {
  start: number; // In the text, UTF-16 units.
  end: number;
  token: TokenChance;
}

// Where in `text` each token lies; those that are not in it (held back, cut off) are left out.
export function placeTokens(text: string, tokens: TokenChance[]): Place[] {
  const places: Place[] = [];
  let cursor = 0;
  for (const token of tokens) {
    if (!token.text) continue;
    const at = text.slice(cursor, cursor + LOOK_AHEAD + token.text.length).indexOf(token.text);
    if (at < 0) continue;
    places.push({start: cursor + at, end: cursor + at + token.text.length, token});
    cursor += at + token.text.length;
  }
  return places;
}

export function levelOf(p: number): number {
  return LEVELS.reduce((level, row, i) => (p < row.below ? i + 1 : level), 0);
}

// The least sure tokens that say something, the worst first.
export function leastSure(tokens: TokenChance[], n: number): TokenChance[] {
  return tokens
    .filter((token) => token.p < LEVELS[0].below && /[\p{L}\p{N}]/u.test(token.text))
    .sort((a, b) => a.p - b.p)
    .slice(0, n);
}

interface Mapped {
  node: Text;
  offset: number;
}

// Where after `cursor` the source shows what begins with `shown`; the first letter has to do where marks lie
// among the rest.  -1: not near.
function resume(source: string, cursor: number, shown: string): number {
  const near = source.slice(cursor, cursor + LOOK_AHEAD);
  const whole = near.indexOf(shown);
  const at = whole >= 0 ? whole : near.indexOf(shown[0]);
  return at < 0 ? -1 : cursor + at;
}

// For each position of `source` the place in the DOM that shows it; nothing where it shows none.
export function mapSource(root: Node, source: string): (Mapped | undefined)[] {
  const map: (Mapped | undefined)[] = new Array(source.length);
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT, {
    acceptNode: (node) =>
      (node.parentElement?.closest("figcaption") ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT),
  });
  let cursor = 0; // Where the source goes on.
  for (let node = walker.nextNode() as Text | null; node; node = walker.nextNode() as Text | null) {
    for (let i = 0; i < node.length; i += 1) {
      const at = source[cursor] === node.data[i] ? cursor : resume(source, cursor, node.data.slice(i, i + RESUME_LENGTH));
      if (at < 0) continue;
      map[at] = {node, offset: i};
      cursor = at + 1;
    }
  }
  return map;
}

function rangeOf(place: Place, map: (Mapped | undefined)[]): Range | undefined {
  const shown = map.slice(place.start, place.end).filter((at): at is Mapped => at !== undefined && /\S/.test(at.node.data[at.offset]));
  if (!shown.length) return undefined;
  const range = document.createRange();
  range.setStart(shown[0].node, shown[0].offset);
  const last = shown[shown.length - 1];
  range.setEnd(last.node, last.offset + 1);
  return range;
}

export interface MarkedToken {
  range: Range;
  token: TokenChance;
}

export function findRanges(root: Node, source: string, tokens: TokenChance[]): MarkedToken[] {
  const unsure = placeTokens(source, tokens).filter((place) => levelOf(place.token.p) > 0);
  if (!unsure.length) return [];
  const map = mapSource(root, source);
  return unsure.flatMap((place) => {
    const range = rangeOf(place, map);
    return range ? [{range, token: place.token}] : [];
  });
}

// The underlines of all answers that are shown; each answer adds and removes its own.
const registry = typeof CSS === "undefined" ? undefined : CSS.highlights;

function highlight(level: number): Highlight {
  const {name} = LEVELS[level - 1];
  const found = registry!.get(name);
  if (found) return found;
  const made = new Highlight();
  registry!.set(name, made);
  return made;
}

export function paint(marks: MarkedToken[]): () => void {
  if (!registry) return () => {};
  for (const {range, token} of marks) highlight(levelOf(token.p)).add(range);
  return () => {
    for (const {range, token} of marks) highlight(levelOf(token.p)).delete(range);
  };
}

// The marked token under a point of the page.
export function tokenAt(marks: MarkedToken[], x: number, y: number): MarkedToken | undefined {
  return marks.find(({range}) =>
    [...range.getClientRects()].some((r) => x >= r.left && x <= r.right && y >= r.top && y <= r.bottom + 3));
}
