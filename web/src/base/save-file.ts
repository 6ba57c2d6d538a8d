// Hands the person a file that the page made.

const NAME_MAX = 80;

export function safeName(name: string): string {
  return name.replace(/[^\p{L}\p{N}._ -]+/gu, "_").slice(-NAME_MAX) || "hearth";
}

export function saveFile(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], {type}));
  const link = document.createElement("a");
  link.href = url;
  link.download = safeName(name);
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
