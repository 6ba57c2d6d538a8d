// A conversation is a tree: an edited question or another answer is a sibling, and what is shown is the path
// from the root to one leaf.  Nothing that was said is lost by changing one's mind.

import type {ChatTurn, TokenChance} from "../hub/chat";
import type {Receipt} from "../hub/types";

export interface TurnNode {
  id: string;
  parent: string | null;
  role: "user" | "assistant";
  text: string;
  at: number; // Unix, ms.
  thinking?: string;
  model?: string; // That was asked for.
  receipt?: Receipt;
  tokens?: TokenChance[];
  error?: string;
  isStopped?: boolean;
  outcome?: "good" | "bad"; // What the person said of it.
}

export interface Conversation {
  id: string;
  title: string;
  createdAt: number;
  updatedAt: number;
  model: string;
  system: string;
  leaf: string | null;
  nodes: Record<string, TurnNode>;
  syncedAt?: number; // Which state the hub has: an `updatedAt`.
  isElsewhere?: boolean; // The hub has its turns, this browser not yet.
}

export const TITLE_MAX = 60;

export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function newConversation(model: string, now = Date.now()): Conversation {
  return {id: newId(), title: "", createdAt: now, updatedAt: now, model, system: "", leaf: null, nodes: {}};
}

// From the first turn to `leaf`.
export function pathTo(conversation: Conversation, leaf = conversation.leaf): TurnNode[] {
  const path: TurnNode[] = [];
  for (let id = leaf; id !== null; ) {
    const node: TurnNode | undefined = conversation.nodes[id];
    if (!node || path.length > Object.keys(conversation.nodes).length) break;
    path.push(node);
    id = node.parent;
  }
  return path.reverse();
}

export function childrenOf(conversation: Conversation, parent: string | null): TurnNode[] {
  return Object.values(conversation.nodes)
    .filter((node) => node.parent === parent)
    .sort((a, b) => a.at - b.at || (a.id < b.id ? -1 : 1));
}

export function siblingsOf(conversation: Conversation, node: TurnNode): TurnNode[] {
  return childrenOf(conversation, node.parent);
}

// The newest leaf below a node.
export function leafBelow(conversation: Conversation, id: string): string {
  const children = childrenOf(conversation, id);
  return children.length ? leafBelow(conversation, children[children.length - 1].id) : id;
}

export function addNode(conversation: Conversation, node: Omit<TurnNode, "id" | "at">, now = Date.now()): TurnNode {
  const added: TurnNode = {...node, id: newId(), at: now};
  conversation.nodes[added.id] = added;
  conversation.leaf = added.id;
  conversation.updatedAt = now;
  if (!conversation.title && node.role === "user") conversation.title = titleOf(node.text);
  return added;
}

export function titleOf(text: string): string {
  const line = text.trim().split("\n")[0].replace(/\s+/g, " ");
  return line.length > TITLE_MAX ? `${line.slice(0, TITLE_MAX - 1)}…` : line || "Untitled";
}

// What the hub is asked: the system prompt and the turns that said something.
export function turnsOf(conversation: Conversation, leaf: string | null): ChatTurn[] {
  const turns: ChatTurn[] = pathTo(conversation, leaf)
    .filter((node) => node.role === "user" || node.text)
    .map((node) => ({role: node.role, content: node.text}));
  return conversation.system.trim() ? [{role: "system", content: conversation.system}, ...turns] : turns;
}

// A conversation of its own with what led to `leaf`.
export function branchOff(conversation: Conversation, leaf: string, now = Date.now()): Conversation {
  const nodes = Object.fromEntries(pathTo(conversation, leaf).map((node) => [node.id, {...node}]));
  return {...conversation, id: newId(), title: `${conversation.title} (branch)`, createdAt: now, updatedAt: now, leaf, nodes, syncedAt: undefined};
}

export function asMarkdown(conversation: Conversation): string {
  const parts = [`# ${conversation.title}`];
  if (conversation.system.trim()) parts.push(`> ${conversation.system.trim().replace(/\n/g, "\n> ")}`);
  for (const node of pathTo(conversation)) {
    const who = node.role === "user" ? "You" : (node.receipt?.model ?? node.model ?? "Model");
    parts.push(`## ${who}\n\n${node.text}`);
    if (node.receipt) parts.push(`*receipt ${node.receipt.id}*`);
  }
  return `${parts.join("\n\n")}\n`;
}
