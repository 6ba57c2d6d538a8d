import {describe, expect, it} from "vitest";
import {EventParser, type ServerEvent} from "../src/hub/events";

function parse(text: string, pieceLength: number): ServerEvent[] {
  const parser = new EventParser();
  const events: ServerEvent[] = [];
  for (let i = 0; i < text.length; i += pieceLength) events.push(...parser.feed(text.slice(i, i + pieceLength)));
  return events;
}

describe("server-sent events", () => {
  const stream = ': waiting\ndata: {"a":1}\n\nevent: x\ndata: one\ndata: two\n\r\ndata:[DONE]\n\n';
  const expected = [
    {name: "", data: "", comment: "waiting"},
    {name: "", data: '{"a":1}', comment: ""},
    {name: "x", data: "one\ntwo", comment: ""},
    {name: "", data: "[DONE]", comment: ""},
  ];

  it("are the same however the stream is cut", () => {
    for (let length = 1; length <= stream.length; length += 1) expect(parse(stream, length)).toEqual(expected);
  });

  it("count only when they are ended", () => {
    expect(parse("data: half", 4)).toEqual([]);
  });

  it("have a longest line", () => {
    const parser = new EventParser();
    expect(() => parser.feed("x".repeat((4 << 20) + 1))).toThrow(/longer than/);
  });
});
