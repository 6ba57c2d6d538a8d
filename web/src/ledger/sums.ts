// What the receipts say together.

import {brokenOff} from "../chat/receipt-line";
import type {EgressRow, Receipt} from "../hub/types";

const DAY_MS = 86_400_000;
export const BINS = 10; // Of confidence, from 0 to 1.

export interface Day {
  at: number; // Its begin in UTC, Unix seconds.
  answers: number;
  local: number; // For which nothing left the machine.
  bytesOut: number;
  costMicro: number;
}

export function byDay(receipts: Receipt[]): Day[] {
  const days = new Map<number, Day>();
  for (const receipt of receipts) {
    const at = (Math.floor(receipt.at_unix_us / 1000 / DAY_MS) * DAY_MS) / 1000;
    const day = days.get(at) ?? {at, answers: 0, local: 0, bytesOut: 0, costMicro: 0};
    day.answers += 1;
    day.local += receipt.bytes_out === 0 ? 1 : 0;
    day.bytesOut += receipt.bytes_out;
    day.costMicro += receipt.cost_usd_micro;
    days.set(at, day);
  }
  return [...days.values()].sort((a, b) => a.at - b.at);
}

// The same with the days on which nothing happened, at least `min` and at most `max` of them up to the last.
export function withEmptyDays(days: Day[], min: number, max: number): Day[] {
  if (!days.length) return [];
  const last = days[days.length - 1].at;
  const back = (n: number): number => last - ((n - 1) * DAY_MS) / 1000;
  const first = Math.max(Math.min(days[0].at, back(min)), back(max));
  const known = new Map(days.map((day) => [day.at, day]));
  const filled: Day[] = [];
  for (let at = first; at <= last; at += DAY_MS / 1000) {
    filled.push(known.get(at) ?? {at, answers: 0, local: 0, bytesOut: 0, costMicro: 0});
  }
  return filled;
}

export interface AdviserSum {
  adviser: string;
  asked: number;
  advised: number;
  failed: number;
  costMicro: number;
  bytesOut: number;
}

export function byAdviser(receipts: Receipt[]): AdviserSum[] {
  const sums = new Map<string, AdviserSum>();
  for (const receipt of receipts) {
    if (!receipt.adviser) continue;
    const sum = sums.get(receipt.adviser) ??
      {adviser: receipt.adviser, asked: 0, advised: 0, failed: 0, costMicro: 0, bytesOut: 0};
    sum.asked += 1;
    sum.advised += receipt.advice === "advised" ? 1 : 0;
    sum.failed += receipt.advice === "failed" ? 1 : 0;
    sum.costMicro += receipt.cost_usd_micro;
    sum.bytesOut += receipt.bytes_out;
    sums.set(receipt.adviser, sum);
  }
  return [...sums.values()].sort((a, b) => b.asked - a.asked || a.adviser.localeCompare(b.adviser));
}

// Of each bin of confidence, how many answers were advised, were left as they were, or should have been advised and
// were not.
export interface ConfidenceBin {
  from: number;
  sure: number;
  advised: number;
  unadvised: number;
}

export function byConfidence(receipts: Receipt[]): ConfidenceBin[] {
  const bins = Array.from({length: BINS}, (_, i): ConfidenceBin => ({from: i / BINS, sure: 0, advised: 0, unadvised: 0}));
  for (const receipt of receipts) {
    if (receipt.upstream || brokenOff(receipt)) continue; // There is no confidence of ours.
    if (receipt.advice === "not_needed" && !receipt.usage.completion_tokens) continue; // No answer in words: an embedding, say.
    const bin = bins[Math.min(Math.floor(receipt.confidence * BINS), BINS - 1)];
    if (receipt.advice === "not_needed") bin.sure += 1;
    else if (receipt.advice === "advised") bin.advised += 1;
    else bin.unadvised += 1;
  }
  return bins;
}

// A call: its two rows as one.
export interface Call {
  send: EgressRow;
  settle?: EgressRow;
}

export function callsOf(rows: EgressRow[]): Call[] {
  const calls = new Map<number, Call>();
  for (const row of rows) {
    if (row.kind === "send") calls.set(row.seq, {send: row});
    else {
      const call = calls.get(row.call_seq);
      if (call) call.settle = row;
    }
  }
  return [...calls.values()];
}
