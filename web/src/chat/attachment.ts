// A text file as a fenced block of the question.  Pictures and sound are refused: no local model here reads them.

export const FILE_BYTES_MAX = 256 << 10;

// A fence longer than any in the text, so that the text can't end it.
export function fence(text: string): string {
  const longest = Math.max(...[...text.matchAll(/`+/g)].map((run) => run[0].length), 2);
  return "`".repeat(longest + 1);
}

export async function blockOf(file: File): Promise<string | {problem: string}> {
  if (file.size > FILE_BYTES_MAX) return {problem: `${file.name} has ${file.size} bytes; at most ${FILE_BYTES_MAX} go along.`};
  const bytes = new Uint8Array(await file.arrayBuffer());
  try {
    const text = new TextDecoder("utf-8", {fatal: true}).decode(bytes);
    if (text.includes("\0")) throw new TypeError("a NUL");
    const mark = fence(text);
    return `${file.name}:\n${mark}\n${text}${text.endsWith("\n") ? "" : "\n"}${mark}\n`;
  } catch {
    return {problem: `${file.name} is no text in UTF-8.`};
  }
}
