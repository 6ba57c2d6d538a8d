// What the hub says over HTTP, as far as the page reads it.

export interface Receipt {
  id: string;
  at_unix_us: number;
  model: string;
  adapter: string;
  end: string;
  usage: {prompt_tokens: number; cached_tokens: number; restored_tokens: number; completion_tokens: number};
  queue_ms: number;
  ready_ms: number;
  first_token_ms: number;
  total_ms: number;
  tokens_per_second: number;
  confidence: number;
  quantisation: string;
  kind: string;
  p_wrong: number;
  p_wrong_before: number;
  p_helps: number;
  advice: string;
  advice_detail: string;
  advice_rule: string;
  adviser: string;
  advice_relayed: boolean;
  bytes_out: number;
  cost_usd_micro: number;
  choice: string;
  upstream: string;
  place: string;
  left_out: string;
}

export interface ModelInfo {
  id: string;
  owned_by: string;
  hearth: {
    source: string | null;
    architecture: string | null;
    quantization: string | null;
    bytes: number;
    context_tokens: number;
    loaded: boolean;
    place?: string;
    leaves_this_machine?: boolean;
    adapter?: string;
    kv_bytes_per_token?: number;
  };
}

export type Residence = "cold" | "streaming" | "cached" | "pinned";

export interface ModelMemory {
  name: string;
  state: Residence;
  bytes: number;
  cached_bytes: number;
  ready_bytes: number;
  wanted_bytes: number;
  mapped_bytes: number;
  large_page_bytes: number;
  waited_ms: number;
  loaded: boolean;
  leases: number;
  uses: number;
  load_ms: number;
}

export interface UpstreamInfo {
  name: string;
  url: string;
  kind: string;
  is_here: boolean;
  circuit: string;
  problem: string;
  models: number;
  running: number;
  requests: number;
  failures: number;
}

export interface MemoryReport {
  bytes_max: number;
  bytes_used: number;
  read_bytes: number;
  guesses: number;
  guess_hits: number;
  models: ModelMemory[];
  upstreams: UpstreamInfo[];
  snapshots: {files: number; bytes: number; restores: number; restored_tokens: number};
}

// A row of the egress ledger; a body is there only where one call was asked for.
export interface EgressRow {
  seq: number;
  kind: "send" | "settle";
  call_seq: number;
  at_unix_us: number;
  request_id: string;
  provider: string;
  url: string;
  model: string;
  headers?: string;
  body?: string;
  body_hex?: string;
  body_bytes: number;
  rule: string;
  reserved_usd_micro: number;
  charged_usd_micro: number;
  reported_usd_micro: number;
  prompt_tokens: number;
  cached_tokens: number;
  completion_tokens: number;
  http_status: number;
  outcome: string;
  bytes_in: number;
  hash: string;
}

export interface VerifyReport {
  holds: boolean;
  rows: number;
  calls: number;
  open_calls: number;
  charged_usd_micro: number;
  head: string;
  problems: string[];
}
