// A model's Markdown as inert DOM.
//
// A model may be made to say anything, so nothing that it says may act: HTML in Markdown is shown as the
// text that it is, pictures become links (nothing is fetched by looking), links lead to http, https and
// mailto only, and say where.  What marked makes of the rest goes through DOMPurify with a short list of
// tags on top; the page's Content-Security-Policy, with Trusted Types, is the third wall.
//
// While an answer streams, only blocks whose source changed are made anew: what is selected or read
// above stays in place.

import DOMPurify from "dompurify";
import {Marked, type Token, type TokensList} from "marked";

const ALLOWED_TAGS = [
  "p", "br", "hr", "strong", "em", "del", "code", "pre", "blockquote", "ul", "ol", "li", "a",
  "h1", "h2", "h3", "h4", "h5", "h6", "table", "thead", "tbody", "tr", "th", "td",
];
const ALLOWED_ATTR = ["href", "title", "start", "data-lang", "align"];
const SAFE_LINK = /^(https?:\/\/|mailto:)/i;
const MARKDOWN_MAX = 1 << 20; // Characters; more is shown as plain text.
// The page's own headings are h1 and h2.
const HEADING_SHIFT = 2;

const ESCAPES: Record<string, string> = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"};

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (c) => ESCAPES[c]);
}

export function isSafeLink(href: string): boolean {
  return SAFE_LINK.test(href.trim());
}

function linkHtml(href: string, label: string): string {
  return isSafeLink(href) ? `<a href="${escapeHtml(href.trim())}">${label}</a>` : `${label} (${escapeHtml(href)})`;
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  renderer: {
    html: ({text}) => escapeHtml(text),
    image: ({href, text}) => linkHtml(href, escapeHtml(text || href)),
    link({href, tokens}) {
      return linkHtml(href, this.parser.parseInline(tokens));
    },
    code: ({text, lang}) =>
      `<pre data-lang="${escapeHtml((lang ?? "").split(/\s/)[0])}"><code>${escapeHtml(text)}\n</code></pre>`,
    checkbox: ({checked}) => (checked ? "☑" : "☐"),
    heading({tokens, depth}) {
      const level = Math.min(depth + HEADING_SHIFT, 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
  },
});

function cleanFragment(html: string): DocumentFragment {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS,
    ALLOWED_ATTR,
    ADD_URI_SAFE_ATTR: ["data-lang", "start", "align"], // Their values are no links.
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    RETURN_DOM_FRAGMENT: true,
    ALLOWED_URI_REGEXP: SAFE_LINK,
  });
}

// Code gets its language and a button that copies it; wide content its own scroll bar, which a keyboard
// must be able to reach.
function dress(fragment: DocumentFragment): DocumentFragment {
  for (const link of fragment.querySelectorAll("a")) {
    link.target = "_blank";
    link.rel = "noopener noreferrer nofollow";
  }
  for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(codeFigure(pre));
  for (const table of fragment.querySelectorAll("table")) {
    const scroll = document.createElement("div");
    scroll.className = "scroll";
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "group");
    scroll.setAttribute("aria-label", "table");
    table.replaceWith(scroll);
    scroll.append(table);
  }
  return fragment;
}

function codeFigure(pre: HTMLPreElement): HTMLElement {
  const language = pre.getAttribute("data-lang") ?? "";
  const figure = document.createElement("figure");
  figure.className = "code";
  const head = document.createElement("figcaption");
  const name = document.createElement("span");
  name.textContent = language || "text";
  const copy = document.createElement("button");
  copy.type = "button";
  copy.className = "quiet copy-code";
  copy.textContent = "Copy";
  head.append(name, copy);
  const body = document.createElement("pre");
  body.tabIndex = 0;
  body.setAttribute("aria-label", `code${language ? `, ${language}` : ""}`);
  body.append(...pre.childNodes);
  figure.append(head, body);
  return figure;
}

// The source as blocks of their own, and each block's DOM.
export function markdownBlocks(source: string): TokensList | Token[] {
  if (source.length > MARKDOWN_MAX) return [{type: "text", raw: source, text: source} as Token];
  return marked.lexer(source);
}

export function renderBlock(block: Token): DocumentFragment {
  return dress(cleanFragment(marked.parser([block])));
}

// Brings `container` up to `source`.  A block is a child whose `raw` is what it was made of.
export function renderMarkdown(container: HTMLElement, source: string): void {
  const blocks = markdownBlocks(source).filter((block) => block.type !== "space");
  blocks.forEach((block, i) => {
    const old = container.children[i] as (HTMLElement & {raw?: string}) | undefined;
    if (old?.raw === block.raw) return;
    const made: HTMLElement & {raw?: string} = document.createElement("div");
    made.className = "block";
    made.raw = block.raw;
    made.append(renderBlock(block));
    if (old) old.replaceWith(made);
    else container.append(made);
  });
  while (container.children.length > blocks.length) container.lastElementChild!.remove();
}

// Copies the code beside a `copy-code` button, and says so on it.
export async function copyCode(button: HTMLElement): Promise<void> {
  const code = button.closest("figure")?.querySelector("code")?.textContent ?? "";
  button.textContent = (await copyText(code)) ? "Copied" : "Can't copy";
  setTimeout(() => (button.textContent = "Copy"), 1500);
}

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
