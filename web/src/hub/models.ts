// The models of the hub and where their weights are, asked for while somebody looks.

import {Notifier} from "../base/notifier";
import {getJson, postJson} from "./http";
import type {MemoryReport, ModelInfo, ModelMemory} from "./types";

const POLL_MS = 1000;

class Models extends Notifier {
  list: ModelInfo[] = [];
  memory?: MemoryReport;
  error = "";
  private watchers = 0;
  private timer = 0;

  async refresh(): Promise<void> {
    try {
      const [list, memory] = await Promise.all([
        getJson<{data: ModelInfo[]}>("/v1/models"),
        getJson<MemoryReport>("/hearth/v1/memory"),
      ]);
      this.list = list.data;
      this.memory = memory;
      this.error = "";
    } catch (error) {
      this.error = (error as Error).message;
    }
    this.changed();
  }

  // Keeps up to date until the returned function is called.
  watch(): () => void {
    this.watchers += 1;
    if (this.watchers === 1) void this.poll();
    return () => {
      this.watchers -= 1;
      if (!this.watchers) clearTimeout(this.timer);
    };
  }

  private async poll(): Promise<void> {
    if (!document.hidden) await this.refresh();
    if (this.watchers) this.timer = window.setTimeout(() => void this.poll(), POLL_MS);
  }

  // Names of what can be asked, the hub's own choices first.
  get names(): string[] {
    return this.list.map((model) => model.id);
  }

  find(name: string): ModelInfo | undefined {
    return this.list.find((model) => model.id === name);
  }

  memoryOf(name: string): ModelMemory | undefined {
    return this.memory?.models.find((model) => model.name === name);
  }

  async unload(name: string): Promise<void> {
    await postJson("/models/unload", {model: name});
    await this.refresh();
  }

  // A pin holds until the hub ends; what is pinned is loaded first.
  async pin(name: string): Promise<void> {
    await postJson("/models/load", {model: name});
    await postJson("/hearth/v1/pins", {model: name, pinned: true});
    await this.refresh();
  }

  async unpin(name: string): Promise<void> {
    await postJson("/hearth/v1/pins", {model: name, pinned: false});
    await this.refresh();
  }

  async load(name: string): Promise<void> {
    await postJson("/models/load", {model: name});
    await this.refresh();
  }
}

export const models = new Models();
