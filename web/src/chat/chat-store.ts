// The conversations of this browser and the answers that are on their way.

import {Notifier} from "../base/notifier";
import {conversationStore, loadSetting, saveSetting} from "../base/store";
import {streamChat} from "../hub/chat";
import {postJson} from "../hub/http";
import {
  addNode, branchOff, leafBelow, newConversation, pathTo, siblingsOf, turnsOf, type Conversation, type TurnNode,
} from "./conversation";
import {hubHistory, merge} from "./hub-history";

export interface Running {
  node: TurnNode;
  conversation: Conversation;
  status: string; // What the hub says it does; empty once the answer comes.
  abort: AbortController;
}

export type Advice = "" | "never" | "auto" | "always"; // "": as the configuration says.

class ChatStore extends Notifier {
  conversations: Conversation[] = []; // Newest first.
  current: Conversation = newConversation(loadSetting("model", "auto"));
  advice = loadSetting<Advice>("advice", "");
  keepsHistory = true; // False where this browser keeps nothing.
  private readonly running = new Map<string, Running>(); // By node.

  async open(): Promise<void> {
    try {
      const kept = await conversationStore.all<Conversation>();
      const begun = new Set(this.conversations.map((own) => own.id)); // While the browser was slow to open its store.
      this.conversations = [...this.conversations, ...kept.filter((own) => !begun.has(own.id))].sort((a, b) => b.updatedAt - a.updatedAt);
    } catch {
      this.keepsHistory = false;
    }
    this.changed();
    if (hubHistory.isOn) await this.syncWithHub();
  }

  // ---- Conversations on the hub (hub-history.ts) ----

  async keepOnHub(): Promise<void> {
    hubHistory.switch(true);
    await this.syncWithHub();
  }

  async syncWithHub(): Promise<void> {
    const {all, toPut} = merge(this.conversations, await hubHistory.look());
    this.conversations = all;
    for (const conversation of toPut) {
      hubHistory.put(conversation);
      void this.keepHere(conversation);
    }
    this.changed();
  }

  // With `deletes` the hub keeps nothing afterwards: what only it has comes here first.
  async leaveHub(deletes: boolean): Promise<void> {
    if (deletes) {
      for (const {id} of this.conversations.filter((conversation) => conversation.isElsewhere)) await this.bringHere(id);
      await hubHistory.dropAll();
      for (const conversation of this.conversations) {
        conversation.syncedAt = undefined;
        await this.keepHere(conversation);
      }
    }
    hubHistory.switch(false);
  }

  private async bringHere(id: string): Promise<void> {
    const whole = await hubHistory.get(id);
    this.conversations = this.conversations.map((other) => (other.id === id ? whole : other));
    await this.keepHere(whole);
  }

  runningNode(id: string): Running | undefined {
    return this.running.get(id);
  }

  // The answer that the shown conversation waits for.
  get runningHere(): Running | undefined {
    return [...this.running.values()].find((run) => run.conversation.id === this.current.id);
  }

  // ---- Conversations ----

  startNew(): void {
    this.current = newConversation(loadSetting("model", "auto"));
    this.changed();
  }

  async select(id: string): Promise<void> {
    const isElsewhere = this.conversations.some((conversation) => conversation.id === id && conversation.isElsewhere);
    if (isElsewhere) await this.bringHere(id).catch((error: Error) => (hubHistory.fault = error.message));
    const found = this.conversations.find((conversation) => conversation.id === id);
    if (found && !found.isElsewhere) this.current = found;
    this.changed();
  }

  async remove(id: string): Promise<void> {
    for (const run of this.running.values()) if (run.conversation.id === id) run.abort.abort();
    this.conversations = this.conversations.filter((conversation) => conversation.id !== id);
    if (this.current.id === id) this.startNew();
    this.changed();
    if (hubHistory.isOn) hubHistory.drop(id);
    await conversationStore.remove(id).catch(() => undefined);
  }

  rename(id: string, title: string): void {
    const found = this.conversations.find((conversation) => conversation.id === id);
    if (!found || !title.trim()) return;
    found.title = title.trim();
    void this.keep(found);
  }

  setModel(model: string): void {
    this.current.model = model;
    saveSetting("model", model);
    this.changed();
  }

  setAdvice(advice: Advice): void {
    this.advice = advice;
    saveSetting("advice", advice);
    this.changed();
  }

  setSystem(system: string): void {
    this.current.system = system;
    this.changed();
  }

  branch(leaf: string): void {
    this.current = branchOff(this.current, leaf);
    void this.keep(this.current);
  }

  // Shows the sibling `step` places from a turn, down to its newest leaf.
  showSibling(node: TurnNode, step: number): void {
    const siblings = siblingsOf(this.current, node);
    const next = siblings[siblings.findIndex((sibling) => sibling.id === node.id) + step];
    if (next) this.current.leaf = leafBelow(this.current, next.id);
    this.changed();
  }

  private async keep(conversation: Conversation): Promise<void> {
    this.conversations = [conversation, ...this.conversations.filter((other) => other.id !== conversation.id)];
    const isRunning = [...this.running.values()].some((run) => run.conversation.id === conversation.id);
    if (!isRunning) hubHistory.put(conversation);
    this.changed();
    await this.keepHere(conversation);
  }

  private async keepHere(conversation: Conversation): Promise<void> {
    await conversationStore.put(structuredClone(conversation)).catch(() => (this.keepsHistory = false));
  }

  // ---- Turns ----

  async send(text: string): Promise<void> {
    const question = addNode(this.current, {parent: this.current.leaf, role: "user", text});
    await this.answer(this.current, question, this.current.model);
  }

  // Asks another question in a turn's place; what was said before stays beside it.
  async edit(node: TurnNode, text: string): Promise<void> {
    const question = addNode(this.current, {parent: node.parent, role: "user", text});
    await this.answer(this.current, question, this.current.model);
  }

  // Another answer to the question of `node`, an answer.
  async again(node: TurnNode, model: string): Promise<void> {
    const question = node.parent === null ? undefined : this.current.nodes[node.parent];
    if (question) await this.answer(this.current, question, model);
  }

  // Tells the hub what came of an answer: it learns from that when to ask.
  async judge(node: TurnNode, outcome: "good" | "bad"): Promise<void> {
    try {
      await postJson("/hearth/v1/outcomes", {receipt: node.receipt!.id, outcome});
      node.outcome = outcome;
      node.error = undefined;
    } catch (error) {
      node.error = (error as Error).message;
    }
    await this.keep(this.current);
  }

  stop(): void {
    this.runningHere?.abort.abort();
  }

  private async answer(conversation: Conversation, question: TurnNode, model: string): Promise<void> {
    const messages = turnsOf(conversation, question.id);
    const node = addNode(conversation, {parent: question.id, role: "assistant", text: "", model, tokens: []});
    const run: Running = {node, conversation, status: "", abort: new AbortController()};
    this.running.set(node.id, run);
    void this.keep(conversation);
    try {
      await this.receive(run, {model, messages, advice: this.advice || undefined});
    } catch (error) {
      if (run.abort.signal.aborted) node.isStopped = true;
      else node.error = (error as Error).message;
    }
    this.running.delete(node.id);
    if (this.conversations.some((other) => other.id === conversation.id)) await this.keep(conversation);
  }

  private async receive(run: Running, ask: Parameters<typeof streamChat>[0]): Promise<void> {
    const {node} = run;
    for await (const event of streamChat(ask, run.abort.signal)) {
      if (event.kind === "text") {
        node.text += event.text;
        node.tokens!.push(...event.tokens);
      } else if (event.kind === "thinking") {
        node.thinking = (node.thinking ?? "") + event.text;
      } else if (event.kind === "receipt") {
        node.receipt = event.receipt;
      }
      run.status = event.kind === "status" ? event.text : "";
      this.changed();
    }
  }

  // The last question that is shown, for editing it from the keyboard.
  get lastQuestion(): TurnNode | undefined {
    return pathTo(this.current).filter((node) => node.role === "user").at(-1);
  }
}

export const chat = new ChatStore();
