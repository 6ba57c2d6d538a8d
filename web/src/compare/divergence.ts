// Where two answers part.

import type {TokenChance} from "../hub/chat";
import {placeTokens} from "../text/confidence";

// UTF-16 units that both begin with, never half of a character.
export function commonPrefix(a: string, b: string): number {
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n += 1;
  const isHalf = n > 0 && /[\uD800-\uDBFF]/.test(a[n - 1]);
  return isHalf ? n - 1 : n;
}

export interface Divergence {
  at: number; // UTF-16 units that are the same.
  sameBytes: number; // The same in UTF-8, as `hearth compare` counts.
  isSame: boolean;
  here?: TokenChance; // The token that is there, and how sure the model was of it.
}

export function divergenceOf(text: string, tokens: TokenChance[], first: string): Divergence {
  const at = commonPrefix(text, first);
  const here = placeTokens(text, tokens).find((place) => place.end > at)?.token;
  return {at, sameBytes: new TextEncoder().encode(text.slice(0, at)).length, isSame: text === first, here};
}
