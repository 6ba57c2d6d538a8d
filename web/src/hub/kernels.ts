// The kernels of this hub: those of the house and those that were verified here.

import {getJson, postJson} from "./http";

export interface KernelSpeed {
  sizes: string;
  run_ns: number;
  gflops: number;
  gb_s: number;
  roof_gflops: number;
  roof_gb_s: number;
  roof_percent: number;
}

export interface KernelInfo {
  name: string;
  key: string;
  origin: string; // "house", or "shelf" for one that was verified here.
  signature: string;
  determinism: string;
  speed: KernelSpeed | null; // Of the last run beside the roofs, else of its receipt.
  receipt: Record<string, unknown> | null; // Of one of the shelf.
}

export interface KernelRoofs {
  n_threads: number;
  gflops_f32: number;
  gflops_f64: number;
  gb_s: number;
}

export interface KernelList {
  kernels: KernelInfo[];
  roofs: KernelRoofs | null;
  jail: string; // Why verified kernels can't run here; empty if they can.
}

export interface KernelRun {
  speed: KernelSpeed;
  n_threads: number;
}

export const listKernels = (): Promise<KernelList> => getJson("/hearth/v1/kernels");

export const getKernel = (name: string): Promise<Record<string, unknown>> => getJson(`/hearth/v1/kernels/${encodeURIComponent(name)}`);

export const runKernel = (name: string, sizes: Record<string, number>, repeats: number, signal?: AbortSignal): Promise<KernelRun> =>
  postJson(`/hearth/v1/kernels/${encodeURIComponent(name)}/run`, {sizes, repeats, roof: true}, signal);

// The symbols of a signature's extents and integer scalars, in their order.
export function symbolsOf(signature: string): string[] {
  const extents = [...signature.matchAll(/\[([^\]]*)\]/g)].flatMap((match) => match[1].match(/[a-z_]\w*/gi) ?? []);
  const scalars = [...signature.matchAll(/(?:^|,)\s*([a-z_]\w*)\s+i(?:32|64)\s*(?=,|$)/gi)].map((match) => match[1]);
  return [...new Set([...extents, ...scalars])];
}

// Of how many dimensions its largest tensor is.
export const rankOf = (signature: string): number =>
  Math.max(0, ...[...signature.matchAll(/\[([^\]]*)\]/g)].map((match) => match[1].split(",").length));

// Sizes that try a kernel: beyond the caches for vectors, a tenth of a second for matrices.
const VECTOR = 1 << 22;
const MATRIX = 512;
export function trialSizes(signature: string): Record<string, number> {
  const size = rankOf(signature) > 1 ? MATRIX : VECTOR;
  return Object.fromEntries(symbolsOf(signature).map((symbol) => [symbol, size]));
}
