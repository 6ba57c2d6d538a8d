// What waits for the person's word before it may leave.
//
// The stream of the answer that waits says so in a comment; the answer to it goes to a route of its own.

import {Notifier} from "../base/notifier";
import {postJson} from "./http";

export interface Departure {
  id?: string; // Of a consent; a preview has none.
  request: string;
  provider: string;
  model: string;
  url: string;
  headers: string;
  body?: string; // Left out of a comment if it is very long.
  label: string;
  worst_usd_micro: number;
  expires_unix_us?: number;
}

const MARK = "x-hearth-consent: ";

export function consentIn(comment: string): Departure | undefined {
  return comment.startsWith(MARK) ? (JSON.parse(comment.slice(MARK.length)) as Departure) : undefined;
}

class Consents extends Notifier {
  waiting: Departure[] = [];

  add(departure: Departure): void {
    if (this.waiting.some((other) => other.id === departure.id)) return;
    this.waiting.push(departure);
    this.changed();
  }

  // Nobody waits for it any more: its answer ended, or its time is over.
  drop(id: string | undefined): void {
    this.waiting = this.waiting.filter((other) => other.id !== id);
    this.changed();
  }

  async answer(departure: Departure, isAllowed: boolean, remember: boolean): Promise<void> {
    await postJson(`/hearth/v1/consents/${encodeURIComponent(departure.id!)}`, {answer: isAllowed ? "allow" : "refuse", remember});
    this.drop(departure.id);
  }
}

export const consents = new Consents();
