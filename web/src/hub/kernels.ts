// The kernels of this hub: those of the house and those that were verified here.

import {getJson, postJson} from "./http";

export interface KernelSpeed {
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
  origin: "built-in" | "verified";
  about: string;
  signature: string;
  determinism: string;
  flops: string | null; // Expressions of the signature's symbols.
  bytes: string | null;
  errors: {max_units: number; tolerance_units: string} | null;
  speed: (KernelSpeed & {sizes: string}) | null; // Of the last run beside the roofs, or of its receipt.
  verified_at: string | null;
  compiler: string | null;
}

// One whole: with its contract, source and receipt if it was verified here.
export interface KernelWhole extends KernelInfo {
  contract: string | null;
  source: string | null;
  receipt: {statement: Record<string, unknown>; key: string; signature: string} | null;
}

export interface KernelList {
  kernels: KernelInfo[];
  machine: {cpu: string; isa: string; threads: number; roof_gflops_f32: number; roof_gflops_f64: number; roof_gb_s: number};
  jail: {works: boolean; reason: string | null};
}

export const listKernels = (): Promise<KernelList> => getJson("/hearth/v1/kernels");

export const getKernel = (name: string): Promise<KernelWhole> => getJson(`/hearth/v1/kernels/${encodeURIComponent(name)}`);

// What it reads is drawn by the hub, and its results stay there: this is for its time, beside the roofs.
export const timeKernel = (name: string, sizes: Record<string, number>, repeats: number, signal?: AbortSignal): Promise<KernelSpeed> =>
  postJson("/hearth/v1/kernels/run", {name, sizes, repeats, roof: true, outputs: "none"}, signal);

// The symbols of a signature's extents and integer scalars, in their order.
export function symbolsOf(signature: string): string[] {
  const extents = [...signature.matchAll(/\[([^\]]*)\]/g)].flatMap((match) => match[1].match(/[a-z_]\w*/gi) ?? []);
  const scalars = [...signature.matchAll(/(?:^|,)\s*([a-z_]\w*)\s+i(?:32|64)\s*(?=,|$)/gi)].map((match) => match[1]);
  return [...new Set([...extents, ...scalars])];
}

// Of how many dimensions its largest tensor is.
export const rankOf = (signature: string): number =>
  Math.max(0, ...[...signature.matchAll(/\[([^\]]*)\]/g)].map((match) => match[1].split(",").length));

// Sizes that try a kernel: beyond the caches for vectors, a tenth of a second for matrices, and few sweeps.
const VECTOR = 1 << 22;
const MATRIX = 512;
const COUNT = 4;
export function trialSizes(signature: string): Record<string, number> {
  const size = rankOf(signature) > 1 ? MATRIX : VECTOR;
  const isExtent = (symbol: string): boolean => new RegExp(`\\[[^\\]]*\\b${symbol}\\b`).test(signature);
  return Object.fromEntries(symbolsOf(signature).map((symbol) => [symbol, isExtent(symbol) ? size : COUNT]));
}
