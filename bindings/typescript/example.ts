// Asks a hub, says that its answer was good, and pulls a model: what the types are for.
//
// Run it with any bundler, or with node 22.18 or later: node example.ts http://127.0.0.1:8642
import type {HearthRequest, MemoryReport, Outcome, PullLine, Receipt, WithReceipt} from "hearth-types";

interface ChatAnswer {
  choices: {message: {content: string | null}}[];
}

async function post<Answer>(url: string, body: object): Promise<Answer> {
  const response = await fetch(url, {method: "POST", headers: {"content-type": "application/json"}, body: JSON.stringify(body)});
  if (!response.ok) throw new Error(await response.text());
  return (await response.json()) as Answer;
}

export async function ask(hub: string, question: string): Promise<Receipt | undefined> {
  const extra: HearthRequest = {hearth: {advice: "never"}};
  const answer = await post<WithReceipt<ChatAnswer>>(`${hub}/v1/chat/completions`, {
    model: "auto",
    messages: [{role: "user", content: question}],
    ...extra,
  });
  console.log(answer.choices[0]?.message.content, answer.hearth?.confidence);
  return answer.hearth;
}

export async function praise(hub: string, receipt: Receipt): Promise<void> {
  const outcome: Outcome = {receipt: receipt.id, outcome: "good"};
  await post(`${hub}/hearth/v1/outcomes`, outcome);
}

export async function pull(hub: string, model: string, onShare: (share: number) => void): Promise<string | undefined> {
  const line = await post<PullLine>(`${hub}/api/pull`, {model, stream: false});
  if ("error" in line) throw new Error(line.error);
  if (line.total !== undefined && line.completed !== undefined) onShare(line.completed / line.total);
  return line.hearth?.model;
}

export async function loaded(hub: string): Promise<string[]> {
  const memory = (await (await fetch(`${hub}/hearth/v1/memory`)).json()) as MemoryReport;
  return memory.models.filter(({loaded}) => loaded).map(({name}) => name);
}
