// Figures as people read them.

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function formatBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

export function formatMs(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${ms.toFixed(0)} ms`;
  const seconds = ms / 1000;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

export function formatNs(ns: number): string {
  return ns < 1000 ? `${ns} ns` : ns < 1e6 ? `${(ns / 1000).toPrecision(3)} µs` : formatMs(ns / 1e6);
}

// Micro-dollars; small amounts keep the digits that matter.
export function formatUsd(micro: number): string {
  if (micro === 0) return "$0";
  const usd = micro / 1e6;
  return Math.abs(usd) >= 0.01 ? `$${usd.toFixed(2)}` : `$${usd.toFixed(6).replace(/0+$/, "")}`;
}

export function formatRate(perSecond: number): string {
  return `${perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(1)} tokens/s`;
}

// "4.0 B" of 4e9 weights.
export function formatParams(n: number): string {
  return n >= 1e9 ? `${(n / 1e9).toFixed(1)} B` : `${(n / 1e6).toFixed(0)} M`;
}

// Tokens per second of an estimate: no more digits than it deserves.
export function formatSpeed(perSecond: number | null): string {
  if (perSecond === null) return "–";
  const rounded = Number(perSecond.toPrecision(2));
  return `about ${rounded < 10 ? rounded : rounded.toFixed(0)}`;
}

export function formatShare(part: number): string {
  const percent = part * 100;
  return `${percent > 0 && percent < 1 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}

export function formatCount(n: number, one: string, many = `${one}s`): string {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

// "14:05" today, else "Nov 21", else "2025-11-21".
export function formatDay(unixMs: number, now = Date.now()): string {
  const at = new Date(unixMs);
  const today = new Date(now);
  if (at.toDateString() === today.toDateString()) {
    return at.toLocaleTimeString("en-GB", {hour: "2-digit", minute: "2-digit"});
  }
  if (at.getFullYear() === today.getFullYear()) return at.toLocaleDateString("en", {month: "short", day: "numeric"});
  return at.toISOString().slice(0, 10);
}

export function formatTime(unixMs: number): string {
  return new Date(unixMs).toISOString().slice(0, 19).replace("T", " ");
}
