// Server-sent events from a stream of text: data, and the comments in which the hub says what it
// does meanwhile.  Format: https://html.spec.whatwg.org/multipage/server-sent-events.html.

export interface ServerEvent {
  name: string; // "" where the stream named none.
  data: string;
  comment: string; // Of a comment; `data` is empty then.
}

// Longest line that is kept; a stream that never ends one is cut there.
const LINE_MAX = 4 << 20;

export class EventParser {
  private rest = "";
  private data: string[] = [];
  private name = "";

  // Feeds a piece of the stream; returns the events that it ends.
  feed(piece: string): ServerEvent[] {
    const events: ServerEvent[] = [];
    const lines = (this.rest + piece).split(/\r\n|\n/);
    this.rest = lines.pop() ?? "";
    if (this.rest.length > LINE_MAX) throw new Error(`a line of the stream is longer than ${LINE_MAX} characters`);
    for (const line of lines) this.line(line, events);
    return events;
  }

  private line(line: string, events: ServerEvent[]): void {
    if (line === "") {
      if (this.data.length) events.push({name: this.name, data: this.data.join("\n"), comment: ""});
      this.data = [];
      this.name = "";
    } else if (line.startsWith(":")) {
      events.push({name: "", data: "", comment: line.slice(1).trim()});
    } else {
      this.field(line);
    }
  }

  private field(line: string): void {
    const colon = line.indexOf(":");
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.data.push(value);
    if (field === "event") this.name = value;
  }
}
