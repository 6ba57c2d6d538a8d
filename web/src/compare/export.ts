// Comparisons as files, with the names and columns of `hearth compare`.

import {formatMs, formatShare} from "../base/format";
import {divergenceOf} from "./divergence";
import type {Answer, Comparison} from "./compare-store";

const CSV_COLUMNS = ["prompt", "model", "answer", "completion_tokens", "first_token_ms", "tokens_per_second", "confidence", "same_bytes"];

function rowsOf<T>(comparisons: Comparison[], make: (comparison: Comparison, answer: Answer) => T): T[] {
  return comparisons.flatMap((comparison) => comparison.answers.map((answer) => make(comparison, answer)));
}

function divergence(comparison: Comparison, answer: Answer) {
  return divergenceOf(answer.text, answer.tokens, comparison.answers[0].text);
}

// RFC 4180.  A cell that a spreadsheet would take for a formula is led by an apostrophe: models write cells.
export function csvCell(value: string): string {
  const safe = /^[=+\-@\t\r]/.test(value) && !/^-?[\d.]+$/.test(value) ? `'${value}` : value;
  return `"${safe.replace(/"/g, '""')}"`;
}

export function asCsv(comparisons: Comparison[]): string {
  const rows = rowsOf(comparisons, (comparison, answer) => [
    comparison.prompt,
    answer.model,
    answer.text,
    String(answer.receipt?.usage.completion_tokens ?? ""),
    answer.receipt?.first_token_ms.toFixed(3) ?? "",
    answer.receipt?.tokens_per_second.toFixed(3) ?? "",
    answer.receipt?.confidence.toFixed(4) ?? "",
    String(divergence(comparison, answer).sameBytes),
  ]);
  return [CSV_COLUMNS, ...rows].map((row) => `${row.map(csvCell).join(",")}\r\n`).join("");
}

export function asJson(comparisons: Comparison[]): string {
  const rows = rowsOf(comparisons, (comparison, answer) => {
    const {sameBytes, isSame} = divergence(comparison, answer);
    return {
      model: answer.model,
      prompt: comparison.prompt,
      answer: answer.text,
      same_bytes: sameBytes,
      same: isSame,
      ...(answer.error ? {error: answer.error} : {}),
      receipt: answer.receipt ?? null,
    };
  });
  return `${JSON.stringify(rows, null, 2)}\n`;
}

export function asMarkdown(comparisons: Comparison[]): string {
  return comparisons.map((comparison) => {
    const table = comparison.answers.map(({model, receipt}) => `| ${model.replace(/\|/g, "\\|")} | ${receipt?.usage.completion_tokens ?? ""} | ${
      receipt ? formatMs(receipt.first_token_ms) : ""} | ${receipt?.tokens_per_second.toFixed(1) ?? ""} | ${
      receipt ? formatShare(receipt.confidence) : ""} |`);
    const answers = comparison.answers.map((answer) => `## ${answer.model}\n\n${answer.error ? `*${answer.error}*` : answer.text}`);
    return [`# ${comparison.prompt}`, ["| model | tokens | first token | tokens/s | sure |", "|---|---|---|---|---|", ...table].join("\n"), ...answers]
      .join("\n\n");
  }).join("\n\n---\n\n") + "\n";
}
