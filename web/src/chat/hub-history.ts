// Conversations on the hub, where the person wants that: what is newer goes either way, and nothing goes before it was
// switched on.

import {Notifier} from "../base/notifier";
import {loadSetting, saveSetting} from "../base/store";
import {getJson, hubFetch} from "../hub/http";
import type {Conversation} from "./conversation";

export interface KeptHead {
  id: string;
  title: string;
  updated_at: number;
  bytes: number;
}

export interface KeptList {
  folder: string;
  conversations: KeptHead[];
}

const PATH = "/hearth/v1/conversations";

// What is on the hub alone, or newer there: its head, until somebody opens it.
function stubOf(head: KeptHead): Conversation {
  return {
    id: head.id, title: head.title, createdAt: head.updated_at, updatedAt: head.updated_at, syncedAt: head.updated_at,
    model: "auto", system: "", leaf: null, nodes: {}, isElsewhere: true,
  };
}

export interface Merge {
  all: Conversation[]; // The newest first.
  toPut: Conversation[]; // That the hub lacks, or has an older state of.
}

// One that was on the hub, and is not there any more, was deleted elsewhere: it is not put again until it changes.
export function merge(local: Conversation[], heads: KeptHead[]): Merge {
  const byId = new Map(heads.map((head) => [head.id, head]));
  const kept = local.map((own) => {
    const head = byId.get(own.id);
    return head && head.updated_at > own.updatedAt ? stubOf(head) : own;
  });
  const known = new Set(local.map((own) => own.id));
  const all = [...kept, ...heads.filter((head) => !known.has(head.id)).map(stubOf)].sort((a, b) => b.updatedAt - a.updatedAt);
  return {all, toPut: all.filter((own) => !own.isElsewhere && own.updatedAt > (own.syncedAt ?? 0))};
}

class HubHistory extends Notifier {
  isOn = loadSetting("keep-on-hub", false);
  list?: KeptList;
  fault = "";
  private queue: Promise<unknown> = Promise.resolve(); // So that an older state never overtakes a newer one.

  switch(isOn: boolean): void {
    this.isOn = isOn;
    saveSetting("keep-on-hub", isOn);
    this.changed();
  }

  // What is kept there, whether or not more is to be.
  async look(): Promise<KeptHead[]> {
    try {
      this.list = await getJson<KeptList>(PATH);
      this.fault = "";
    } catch (error) {
      this.fault = (error as Error).message;
    }
    this.changed();
    return this.list?.conversations ?? [];
  }

  async get(id: string): Promise<Conversation> {
    const conversation = await getJson<Conversation>(`${PATH}/${id}`);
    return {...conversation, isElsewhere: undefined, syncedAt: conversation.updatedAt};
  }

  put(conversation: Conversation): void {
    if (!this.isOn) return;
    conversation.syncedAt = conversation.updatedAt;
    const {syncedAt: _, isElsewhere: __, ...own} = conversation;
    const body = JSON.stringify({...own, updated_at: own.updatedAt});
    this.after(
      async () => {
        await hubFetch(`${PATH}/${own.id}`, {method: "PUT", body});
        this.note(own.id, {id: own.id, title: own.title, updated_at: own.updatedAt, bytes: body.length});
      },
      () => (conversation.syncedAt = 0),
    );
  }

  drop(id: string): void {
    this.after(async () => {
      await hubFetch(`${PATH}/${id}`, {method: "DELETE"});
      this.note(id);
    });
  }

  async dropAll(): Promise<void> {
    for (const head of await this.look()) this.drop(head.id);
    await this.queue;
  }

  // What the list says now, without asking for it again.
  private note(id: string, head?: KeptHead): void {
    if (!this.list) return;
    const others = this.list.conversations.filter((other) => other.id !== id);
    this.list = {...this.list, conversations: head ? [head, ...others] : others};
  }

  private after(act: () => Promise<unknown>, undo?: () => void): void {
    this.queue = this.queue.then(act).then(() => (this.fault = "")).catch((error: Error) => {
      undo?.();
      this.fault = error.message;
    }).finally(() => this.changed());
  }
}

export const hubHistory = new HubHistory();
