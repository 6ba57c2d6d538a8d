// What this machine is and can run, as the hub estimates it.

import {getJson, postJson} from "./http";

export interface Roofs {
  cpu: string;
  at_unix_s: number;
  n_threads: number;
  read_gb_s: number;
  stream_gb_s: number;
  int8_gop_s: number;
  f32_gop_s: number;
  f64_gop_s: number;
}

export interface Recommended {
  name: string;
  pull: string;
  type: string;
  params: number;
  active_params: number;
  bytes: number;
  needs_bytes: number;
  fits: "now" | "if_freed" | "no";
  decode_tokens_per_s: number | null;
  prompt_tokens_per_s: number | null;
  here: boolean;
  best: boolean;
}

export interface Recommendation {
  as_of: string;
  how: string;
  context_tokens: number;
  memory: {total_bytes: number; available_bytes: number};
  roofs: Roofs | null;
  models: Recommended[];
}

export const getRecommendation = (): Promise<Recommendation> => getJson("/hearth/v1/recommendation");

export const getRoofs = async (): Promise<Roofs | null> => (await getJson<{roofs: Roofs | null}>("/hearth/v1/roofs")).roofs;

// Two seconds of all its cores.
export const measureRoofs = async (): Promise<Roofs | null> => (await postJson<{roofs: Roofs | null}>("/hearth/v1/roofs", {})).roofs;
