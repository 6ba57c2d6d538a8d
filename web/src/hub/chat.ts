// One streamed answer of the hub, as events of the page's own.

import {consentIn, consents} from "./consents";
import {EventParser, type ServerEvent} from "./events";
import {HubError, hubFetch} from "./http";
import type {Receipt} from "./types";

export interface ChatTurn {
  role: "system" | "user" | "assistant";
  content: string;
}

export interface ChatAsk {
  model: string;
  messages: ChatTurn[];
  advice?: "never" | "auto" | "always";
  temperature?: number;
  maxTokens?: number;
  seed?: number;
}

// A token with its probability and the likeliest others.
export interface TokenChance {
  text: string;
  p: number;
  others: {text: string; p: number}[];
}

export type ChatEvent =
  | {kind: "text"; text: string; tokens: TokenChance[]}
  | {kind: "thinking"; text: string}
  | {kind: "status"; text: string}
  | {kind: "end"; reason: string}
  | {kind: "receipt"; receipt: Receipt};

const TOP_LOGPROBS = 3;

interface RawToken {
  token: string;
  logprob: number;
  bytes: number[] | null;
  top_logprobs?: RawToken[];
}

interface RawChunk {
  error?: {message?: string};
  choices?: {
    delta?: {content?: string | null; reasoning_content?: string};
    logprobs?: {content?: RawToken[]} | null;
    finish_reason?: string | null;
  }[];
  hearth?: Receipt;
}

export function chatBody(ask: ChatAsk): Record<string, unknown> {
  return {
    model: ask.model,
    messages: ask.messages,
    stream: true,
    stream_options: {include_usage: true},
    logprobs: true,
    top_logprobs: TOP_LOGPROBS,
    ...(ask.temperature === undefined ? {} : {temperature: ask.temperature}),
    ...(ask.maxTokens === undefined ? {} : {max_tokens: ask.maxTokens}),
    ...(ask.seed === undefined ? {} : {seed: ask.seed}),
    ...(ask.advice === undefined ? {} : {hearth: {advice: ask.advice}}),
  };
}

// Tokens may be parts of characters; those that are together make the text, so a part shows as what
// its bytes decode to, and nothing where they don't.
class TokenReader {
  private readonly decoder = new TextDecoder("utf-8");

  read(raw: RawToken): TokenChance {
    const bytes = raw.bytes ? new Uint8Array(raw.bytes) : new TextEncoder().encode(raw.token);
    const others = (raw.top_logprobs ?? []).filter((other) => other.token !== raw.token);
    return {
      text: this.decoder.decode(bytes, {stream: true}),
      p: Math.exp(raw.logprob),
      others: others.map((other) => ({text: other.token, p: Math.exp(other.logprob)})),
    };
  }
}

function* eventsOfChunk(chunk: RawChunk, reader: TokenReader): Generator<ChatEvent> {
  if (chunk.error) throw new HubError(500, chunk.error.message ?? "the hub broke the answer off");
  for (const choice of chunk.choices ?? []) {
    const thinking = choice.delta?.reasoning_content;
    if (thinking) yield {kind: "thinking", text: thinking};
    const tokens = (choice.logprobs?.content ?? []).map((token) => reader.read(token));
    const text = choice.delta?.content ?? "";
    if (text || tokens.length) yield {kind: "text", text, tokens};
    if (choice.finish_reason) yield {kind: "end", reason: choice.finish_reason};
  }
  if (chunk.hearth) yield {kind: "receipt", receipt: chunk.hearth};
}

const QUIET_COMMENTS = /^(x-hearth-|still working$)/;

function* eventsOf(event: ServerEvent, reader: TokenReader, waiting: string[]): Generator<ChatEvent> {
  if (event.comment) {
    const departure = consentIn(event.comment);
    if (departure) {
      waiting.push(departure.id!);
      consents.add(departure);
      yield {kind: "status", text: "Waits for your word"};
    } else if (!QUIET_COMMENTS.test(event.comment)) {
      yield {kind: "status", text: event.comment};
    }
  } else if (event.data !== "[DONE]") {
    yield* eventsOfChunk(JSON.parse(event.data) as RawChunk, reader);
  }
}

// Streams an answer; throws HubError where the hub refuses or breaks off, AbortError after `signal`.  What the person is
// asked to let leave for it is not asked any longer than it streams.
export async function* streamChat(ask: ChatAsk, signal: AbortSignal): AsyncGenerator<ChatEvent> {
  const response = await hubFetch("/v1/chat/completions", {
    method: "POST",
    body: JSON.stringify(chatBody(ask)),
    signal,
  });
  const parser = new EventParser();
  const tokens = new TokenReader();
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  const waiting: string[] = []; // Consents.
  try {
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      for (const event of parser.feed(value)) yield* eventsOf(event, tokens, waiting);
    }
  } finally {
    for (const id of waiting) consents.drop(id);
  }
}
