// The hub's metrics as they go: Prometheus' text read, rates made of counters, a short memory kept.

import {Polled} from "../base/notifier";
import {hubFetch} from "../hub/http";

export type Metrics = Map<string, number>;

export const SAMPLES_MAX = 120;
const EVERY_MS = 1000;

// `name{labels} value` lines; labels stay part of the name.
export function parseMetrics(text: string): Metrics {
  const metrics: Metrics = new Map();
  for (const line of text.split("\n")) {
    if (!line || line.startsWith("#")) continue;
    const space = line.lastIndexOf(" ");
    const value = Number(line.slice(space + 1));
    if (space > 0 && Number.isFinite(value)) metrics.set(line.slice(0, space), value);
  }
  return metrics;
}

export interface Sample {
  at: number; // Unix seconds.
  decode: number; // Tokens per second.
  prefill: number;
  running: number;
  waiting: number;
  perStep: number; // Tokens that a batch computes.
  pages: number;
  pagesCached: number; // Of these, kept for prompts to come.
  kvShare: number; // Of the budget of keys and values.
  weightShare: number; // Of the budget of weights.
  streams: number;
  celsius: Record<string, number>; // By sensor; none where the kernel does not tell.
}

const SENSOR = /^hearth_temperature_celsius\{sensor="(.*)"\}$/;

export function temperaturesOf(metrics: Metrics): Record<string, number> {
  return Object.fromEntries([...metrics].flatMap(([name, value]) => {
    const sensor = SENSOR.exec(name)?.[1];
    return sensor ? [[sensor, value]] : [];
  }));
}

export function sampleOf(now: Metrics, before: Metrics | undefined, at: number, seconds: number): Sample {
  const value = (name: string): number => now.get(name) ?? 0;
  const rate = (name: string): number => (before && seconds > 0 ? Math.max(value(name) - (before.get(name) ?? 0), 0) / seconds : 0);
  const share = (name: string): number => (value(`${name}_max`) ? value(`${name}_used`) / value(`${name}_max`) : 0);
  const decode = rate("hearth_completion_tokens_total");
  const prefill = Math.max(rate("hearth_prompt_tokens_total") - rate("hearth_cached_tokens_total"), 0);
  const steps = rate("hearth_engine_steps_total");
  return {
    at,
    decode,
    prefill,
    perStep: steps > 0 ? (decode + prefill) / steps : 0,
    pages: value("hearth_kv_pages_used"),
    pagesCached: value("hearth_kv_pages_cached"),
    running: value("hearth_jobs_running"),
    waiting: value("hearth_jobs_waiting"),
    kvShare: share("hearth_kv_bytes"),
    weightShare: share("hearth_weight_bytes"),
    streams: value("hearth_http_requests_running"),
    celsius: temperaturesOf(now),
  };
}

class Live extends Polled {
  samples: Sample[] = [];
  metrics: Metrics = new Map();
  private lastMs = 0;

  constructor() {
    super(EVERY_MS);
  }

  protected async look(): Promise<() => void> {
    const metrics = parseMetrics(await (await hubFetch("/metrics")).text());
    return () => this.take(metrics);
  }

  private take(metrics: Metrics): void {
    const ms = performance.now();
    // After a pause the rate would be that of the pause: a new beginning is better.
    const isFollowing = this.lastMs > 0 && ms - this.lastMs < 5 * EVERY_MS;
    const sample = sampleOf(metrics, isFollowing ? this.metrics : undefined, Date.now() / 1000, (ms - this.lastMs) / 1000);
    this.samples = [...this.samples, sample].slice(-SAMPLES_MAX);
    this.metrics = metrics;
    this.lastMs = ms;
  }
}

export const live = new Live();
