// One prompt, or a file of them, to several models; and the votes on what came.

import {Notifier} from "../base/notifier";
import {loadSetting, saveSetting} from "../base/store";
import {streamChat, type TokenChance} from "../hub/chat";
import type {Receipt} from "../hub/types";
import {vote, type Ratings} from "./elo";

export interface Answer {
  model: string;
  text: string;
  thinking: string;
  tokens: TokenChance[];
  state: "waiting" | "running" | "done";
  status: string;
  error: string;
  receipt?: Receipt;
}

export interface Comparison {
  prompt: string;
  answers: Answer[]; // In the order of the models that were chosen.
  order: number[]; // In which they are shown: shuffled where the vote is blind.
  isBlind: boolean;
  verdict?: string | null; // The model that was voted for, null for none; undefined: no vote yet.
}

export const PROMPTS_MAX = 1000;
export const MODELS_MAX = 6;

// One prompt per line; empty lines are skipped.
export function promptsOf(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line.trim()).slice(0, PROMPTS_MAX);
}

export function shuffled(n: number, random = Math.random): number[] {
  const order = Array.from({length: n}, (_, i) => i);
  for (let i = n - 1; i > 0; i -= 1) {
    const j = Math.floor(random() * (i + 1));
    [order[i], order[j]] = [order[j], order[i]];
  }
  return order;
}

class CompareStore extends Notifier {
  comparisons: Comparison[] = [];
  ratings: Ratings = loadSetting("ratings", {});
  chosen = loadSetting<string[] | null>("compare-models", null); // null: nobody has chosen yet.
  isBlind = loadSetting("compare-blind", true);
  isInTurn = loadSetting("compare-in-turn", false);
  temperature = loadSetting<number | null>("compare-temperature", 0);
  private abort?: AbortController;

  get isRunning(): boolean {
    return this.abort !== undefined;
  }

  choose(models: string[]): void {
    this.chosen = models.slice(0, MODELS_MAX);
    saveSetting("compare-models", this.chosen);
    this.changed();
  }

  set(change: {isBlind?: boolean; isInTurn?: boolean; temperature?: number | null}): void {
    Object.assign(this, change);
    saveSetting("compare-blind", this.isBlind);
    saveSetting("compare-in-turn", this.isInTurn);
    saveSetting("compare-temperature", this.temperature);
    this.changed();
  }

  stop(): void {
    this.abort?.abort();
  }

  async run(prompts: string[], models: string[], maxTokens: number): Promise<void> {
    this.abort = new AbortController();
    const {signal} = this.abort;
    this.comparisons = prompts.map((prompt) => this.begin(prompt, models));
    this.changed();
    for (const comparison of this.comparisons) {
      if (signal.aborted) break;
      if (this.isInTurn) {
        for (const answer of comparison.answers) await this.ask(comparison, answer, maxTokens, signal);
      } else {
        await Promise.all(comparison.answers.map((answer) => this.ask(comparison, answer, maxTokens, signal)));
      }
    }
    this.abort = undefined;
    this.changed();
  }

  private begin(prompt: string, models: string[]): Comparison {
    const answers = models.map((model): Answer =>
      ({model, text: "", thinking: "", tokens: [], state: "waiting", status: "", error: ""}));
    const order = this.isBlind ? shuffled(models.length) : answers.map((_, i) => i);
    return {prompt, answers, order, isBlind: this.isBlind};
  }

  private async ask(comparison: Comparison, answer: Answer, maxTokens: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    answer.state = "running";
    this.changed();
    const ask = {
      model: answer.model,
      messages: [{role: "user" as const, content: comparison.prompt}],
      maxTokens,
      ...(this.temperature === null ? {} : {temperature: this.temperature}),
    };
    try {
      for await (const event of streamChat(ask, signal)) {
        if (event.kind === "text") {
          answer.text += event.text;
          answer.tokens.push(...event.tokens);
        } else if (event.kind === "thinking") {
          answer.thinking += event.text;
        } else if (event.kind === "receipt") {
          answer.receipt = event.receipt;
        }
        answer.status = event.kind === "status" ? event.text : "";
        this.changed();
      }
    } catch (error) {
      answer.error = signal.aborted ? "stopped" : (error as Error).message;
    }
    answer.state = "done";
    this.changed();
  }

  // `winner`: null for "none is better".
  vote(comparison: Comparison, winner: string | null): void {
    if (comparison.verdict !== undefined) return;
    comparison.verdict = winner;
    this.ratings = vote(this.ratings, comparison.answers.map((answer) => answer.model), winner);
    saveSetting("ratings", this.ratings);
    this.changed();
  }

  forgetRatings(): void {
    this.ratings = {};
    saveSetting("ratings", this.ratings);
    this.changed();
  }
}

export const compare = new CompareStore();
