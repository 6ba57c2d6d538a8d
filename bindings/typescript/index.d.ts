// What a Hearth hub says and takes beyond the APIs whose clients it serves; their own packages have the rest.
//
// hub.d.ts holds the hub's answers as the hub's own page reads them (web/src/hub/types.ts, copied when this is packed).
import type {Receipt} from "./hub";

export type * from "./hub";

export type Advice = "never" | "auto" | "always";

/** The member `hearth` of a request of OpenAI's API. */
export interface HearthOptions {
  /** Whether a cloud model may be asked; the default is the hub's. */
  advice?: Advice;
  /** Shows what would leave, in a comment of the stream, and sends nothing. */
  preview?: boolean;
}

/** Fields of requests that only Hearth takes: spread it into a client's own parameters. */
export interface HearthRequest {
  hearth?: HearthOptions;
  /** Adapters and their weights; or name the model MODEL@ADAPTER. */
  lora?: {name: string; scale?: number}[];
}

/** A whole answer's body, or the last event of a stream. */
export type WithReceipt<Answer> = Answer & {hearth?: Receipt};

/** A line of the answer to POST /api/pull; the last has the status "success", or an error. */
export type PullLine =
  | {status: string; digest?: string; total?: number; completed?: number; hearth?: {model: string; problem?: string}}
  | {error: string};

/** A call that waits for consent (GET /hearth/v1/consents), with its exact bytes. */
export interface Consent {
  id: string;
  request: string;
  provider: string;
  model: string;
  url: string;
  headers: string;
  body?: string;
  label: string;
  worst_usd_micro: number;
  expires_unix_us?: number;
}

/** The body of POST /hearth/v1/consents/ID. */
export interface ConsentAnswer {
  answer: "allow" | "refuse";
  remember?: boolean;
}

/** The body of POST /hearth/v1/outcomes. */
export interface Outcome {
  receipt: string;
  outcome: "good" | "bad";
}
