// Models on their way here.  They go on while another view is open; when the page is closed the hub keeps what
// came, and the next pull goes on from there.

import {Notifier} from "../base/notifier";
import {hubFetch} from "../hub/http";
import {models} from "../hub/models";
import {advance, LineReader, NO_PROGRESS, sumOf, type Progress, type PullLine} from "./pull-lines";

export interface Pull {
  name: string;
  state: "running" | "done" | "broken" | "stopped";
  progress: Progress;
  wentOnAt: number; // Bytes that an earlier pull of it brought here; 0: it is the first.
  bytesPerSecond: number;
  abort: AbortController;
}

const RATE_OVER_MS = 3000;

class Pulls extends Notifier {
  list: Pull[] = []; // The newest first.

  // Begins, or goes on with, a pull of that name.
  start(name: string): void {
    const old = this.list.find((pull) => pull.name === name);
    if (old?.state === "running") return;
    const wentOnAt = old ? sumOf(old.progress.files).completed : 0;
    const pull: Pull = {name, state: "running", progress: NO_PROGRESS, wentOnAt, bytesPerSecond: 0, abort: new AbortController()};
    this.list = [pull, ...this.list.filter((other) => other !== old)];
    this.changed();
    void this.run(pull);
  }

  stop(pull: Pull): void {
    pull.abort.abort();
  }

  forget(pull: Pull): void {
    this.list = this.list.filter((other) => other !== pull);
    this.changed();
  }

  private async run(pull: Pull): Promise<void> {
    try {
      await this.receive(pull);
      if (!pull.progress.isDone && !pull.progress.error) throw new Error("the line to the hub broke");
      pull.state = pull.progress.error ? "broken" : "done";
    } catch (error) {
      pull.state = pull.abort.signal.aborted ? "stopped" : "broken";
      if (pull.state === "broken") pull.progress = {...pull.progress, error: (error as Error).message};
    }
    this.changed();
    await models.refresh();
  }

  private async receive(pull: Pull): Promise<void> {
    const response = await hubFetch("/api/pull", {
      method: "POST",
      body: JSON.stringify({model: pull.name, stream: true}),
      signal: pull.abort.signal,
    });
    const lines = new LineReader();
    const rate = new Rate();
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (;;) {
      const {value, done} = await reader.read();
      if (done) return;
      for (const line of lines.feed(value)) pull.progress = advance(pull.progress, JSON.parse(line) as PullLine);
      pull.bytesPerSecond = rate.at(performance.now(), sumOf(pull.progress.files).completed);
      this.changed();
    }
  }
}

// Bytes per second over the last seconds.
export class Rate {
  private readonly seen: {ms: number; bytes: number}[] = [];

  at(ms: number, bytes: number): number {
    this.seen.push({ms, bytes});
    while (this.seen.length > 2 && ms - this.seen[1].ms > RATE_OVER_MS) this.seen.shift();
    const [first] = this.seen;
    return ms > first.ms ? ((bytes - first.bytes) / (ms - first.ms)) * 1000 : 0;
  }
}

export const pulls = new Pulls();
