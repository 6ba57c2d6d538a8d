// The models of the hub and where their weights are, asked for while somebody looks.

import {Polled} from "../base/notifier";
import {getJson, hubFetch, postJson} from "./http";
import type {MemoryReport, ModelInfo, ModelMemory} from "./types";

const POLL_MS = 1000;

class Models extends Polled {
  list: ModelInfo[] = [];
  memory?: MemoryReport;

  constructor() {
    super(POLL_MS);
  }

  protected async look(): Promise<() => void> {
    const [list, memory] = await Promise.all([
      getJson<{data: ModelInfo[]}>("/v1/models"),
      getJson<MemoryReport>("/hearth/v1/memory"),
    ]);
    return () => {
      this.list = list.data;
      this.memory = memory;
    };
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

  // Deletes the files of one that was pulled.
  async remove(name: string): Promise<void> {
    await hubFetch("/api/delete", {method: "DELETE", body: JSON.stringify({model: name})});
    await this.refresh();
  }
}

export const models = new Models();
