import {describe, expect, it} from "vitest";
import {
  addNode, asMarkdown, branchOff, leafBelow, newConversation, pathTo, siblingsOf, titleOf, turnsOf,
} from "../src/chat/conversation";

function talk() {
  const conversation = newConversation("auto", 1);
  const q1 = addNode(conversation, {parent: null, role: "user", text: "first\nline"}, 2);
  const a1 = addNode(conversation, {parent: q1.id, role: "assistant", text: "one"}, 3);
  const a2 = addNode(conversation, {parent: q1.id, role: "assistant", text: "two"}, 4);
  const q2 = addNode(conversation, {parent: a2.id, role: "user", text: "second"}, 5);
  return {conversation, q1, a1, a2, q2};
}

describe("a conversation", () => {
  it("shows the path to its leaf", () => {
    const {conversation, q1, a1, a2, q2} = talk();
    expect(pathTo(conversation)).toEqual([q1, a2, q2]);
    expect(siblingsOf(conversation, a1)).toEqual([a1, a2]);
    expect(leafBelow(conversation, q1.id)).toBe(q2.id);
  });

  it("asks with its instructions and what was said", () => {
    const {conversation, q2} = talk();
    const empty = addNode(conversation, {parent: q2.id, role: "assistant", text: ""});
    conversation.system = "Be brief.";
    expect(turnsOf(conversation, empty.id).map((turn) => turn.role)).toEqual(["system", "user", "assistant", "user"]);
  });

  it("branches into one of its own, which shares nothing", () => {
    const {conversation, a1} = talk();
    const branch = branchOff(conversation, a1.id, 9);
    expect(Object.keys(branch.nodes)).toHaveLength(2);
    branch.nodes[a1.id].text = "changed";
    expect(a1.text).toBe("one");
  });

  it("is named after its first question", () => {
    expect(talk().conversation.title).toBe("first");
    expect(titleOf("x".repeat(99))).toHaveLength(60);
    expect(titleOf("  ")).toBe("Untitled");
  });

  it("does not hang on a circle of parents", () => {
    const {conversation, q1, a2} = talk();
    q1.parent = a2.id;
    expect(pathTo(conversation).length).toBeLessThan(10);
  });

  it("reads as Markdown", () => {
    expect(asMarkdown(talk().conversation)).toContain("## You\n\nsecond");
  });
});
