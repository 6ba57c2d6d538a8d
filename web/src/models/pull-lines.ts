// A pull as the hub tells it: Ollama's lines of JSON, one per step, and what they add up to.

export interface PullLine {
  status?: string;
  digest?: string;
  total?: number;
  completed?: number;
  error?: string;
  hearth?: {model?: string; problem?: string};
}

export interface PullFile {
  name: string;
  total: number; // 0: not known.
  completed: number;
}

export interface Progress {
  status: string;
  files: PullFile[];
  error: string;
  isDone: boolean;
  model: string; // What it is called here, once it is.
  problem: string; // Why it can't run here.
}

export const NO_PROGRESS: Progress = {status: "", files: [], error: "", isDone: false, model: "", problem: ""};

const LINE_MAX = 1 << 20;

// Lines from pieces of a stream.
export class LineReader {
  private rest = "";

  feed(piece: string): string[] {
    const lines = (this.rest + piece).split("\n");
    this.rest = lines.pop() ?? "";
    if (this.rest.length > LINE_MAX) throw new Error(`a line of the pull is longer than ${LINE_MAX} characters`);
    return lines.filter((line) => line.trim());
  }
}

export function advance(before: Progress, line: PullLine): Progress {
  if (line.error) return {...before, error: line.error};
  const after = {...before, status: line.status ?? before.status};
  if (line.completed !== undefined) after.files = withFile(before.files, line);
  if (line.status === "success") {
    after.isDone = true;
    after.model = line.hearth?.model ?? "";
    after.problem = line.hearth?.problem ?? "";
  }
  return after;
}

function withFile(files: PullFile[], line: PullLine): PullFile[] {
  const name = line.digest ?? line.status ?? "";
  const old = files.find((file) => file.name === name);
  const file = {name, total: line.total ?? old?.total ?? 0, completed: line.completed ?? 0};
  return old ? files.map((other) => (other === old ? file : other)) : [...files, file];
}

export function sumOf(files: PullFile[]): {total: number; completed: number} {
  const add = (key: "total" | "completed"): number => files.reduce((sum, file) => sum + file[key], 0);
  return {total: add("total"), completed: add("completed")};
}
