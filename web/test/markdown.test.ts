// @vitest-environment jsdom
import {describe, expect, it} from "vitest";
import {findRanges, leastSure, levelOf, mapSource, placeTokens} from "../src/text/confidence";
import {isSafeLink, renderMarkdown} from "../src/text/markdown";

function render(source: string): HTMLElement {
  const root = document.createElement("div");
  renderMarkdown(root, source);
  return root;
}

// What a model may be made to write, none of which may act.
const HOSTILE = [
  "<script>document.title = 'taken'</script>",
  "<img src=x onerror=alert(1)>",
  "<svg onload=alert(1)><a href='javascript:alert(1)'>x</a></svg>",
  "<svg><style><!--</style><img src=x onerror=alert(1)>--></svg>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](java\tscript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>)",
  "[x](vbscript:x)",
  "[x](/models/unload)",
  "[x](//evil.example/)",
  "<javascript:alert(1)>",
  "![x](http://evil.example/pixel.png)",
  "![x](data:image/svg+xml,<svg onload=alert(1)>)",
  "[x](https://a.example \"\\\" onmouseover=alert(1) \\\"\")",
  "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
  "<form action=/models/load><button>x</button></form>",
  "<a href=\"https://x.example\" onclick=alert(1)>x</a>",
  "<style>*{display:none}</style><link rel=stylesheet href=//evil.example>",
  "<math><mtext><table><mglyph><style><!--</style><img title=\"--&gt;&lt;img src=1 onerror=alert(1)&gt;\">",
  "```\"><script>alert(1)</script>\n<script>alert(1)</script>\n```",
  "`<img src=x onerror=alert(1)>`",
  "| <script>alert(1)</script> |\n|---|\n| <img src=x onerror=alert(1)> |",
  "[ref]: javascript:alert(1)\n\n[ref]",
  "<hearth-page></hearth-page><chat-view></chat-view>",
];

describe("markup in what a model says", () => {
  it.each(HOSTILE)("is inert: %s", (source) => {
    const root = render(source);
    expect(root.querySelectorAll("script,img,svg,iframe,form,input,style,link,math,object,embed,hearth-page,chat-view")).toHaveLength(0);
    for (const element of root.querySelectorAll("*")) {
      for (const {name, value} of element.attributes) {
        expect(name).not.toMatch(/^on|^style$|^src/);
        if (name === "href") expect(value).toMatch(/^(https?:\/\/|mailto:)/);
      }
    }
  });

  it("is shown as the text that it is", () => {
    expect(render("a <b>bold</b> <script>x</script>").textContent).toContain("a <b>bold</b> <script>x</script>");
  });

  it("may link to the web, in a tab of its own that knows nothing of this one", () => {
    const link = render("[x](https://a.example/y)").querySelector("a")!;
    expect([link.href, link.target, link.rel]).toEqual(["https://a.example/y", "_blank", "noopener noreferrer nofollow"]);
    expect(isSafeLink(" HTTPS://a")).toBe(true);
    expect(isSafeLink("https:a")).toBe(false);
  });
});

describe("Markdown", () => {
  it("has code with a language and a button, tables, lists and headings below the page's own", () => {
    const root = render("# T\n\n```py\nx = 1 < 2\n```\n\n|a|b|\n|-|-|\n|1|2|\n\n- [x] done");
    expect(root.querySelector("h3")!.textContent).toBe("T");
    expect(root.querySelector("figure code")!.textContent).toBe("x = 1 < 2\n");
    expect(root.querySelector("figcaption span")!.textContent).toBe("py");
    expect(root.querySelector(".copy-code")).not.toBeNull();
    expect(root.querySelectorAll("td")).toHaveLength(2);
    expect(root.querySelector("li")!.textContent).toContain("☑ done");
  });

  it("keeps what is above when more comes", () => {
    const root = render("first\n\nsecond");
    const [first, second] = root.children;
    renderMarkdown(root, "first\n\nsecond goes on\n\nthird");
    expect(root.children[0]).toBe(first);
    expect(root.children[1]).not.toBe(second);
    expect(root.children).toHaveLength(3);
    renderMarkdown(root, "other");
    expect(root.textContent!.trim()).toBe("other");
  });

  it("takes any prefix of an answer", () => {
    const source = "# T\n\n**b** `c` [l](https://x.example)\n\n```js\nlet a;\n```\n\n1. x\n2. y\n\n> q";
    const root = document.createElement("div");
    for (let n = 0; n <= source.length; n += 1) renderMarkdown(root, source.slice(0, n));
    expect(root.innerHTML).toBe(render(source).innerHTML);
  });
});

const token = (text: string, p: number) => ({text, p, others: []});

describe("confidence", () => {
  it("has a level for each probability", () => {
    expect([1, 0.7, 0.69, 0.4, 0.2, 0.15, 0.1].map(levelOf)).toEqual([0, 0, 1, 1, 2, 2, 3]);
  });

  it("finds tokens in the text, and leaves out what is not in it", () => {
    const places = placeTokens("one two", [token("one", 1), token("zzz", 1), token(" two", 0.5)]);
    expect(places.map((place) => [place.start, place.end])).toEqual([[0, 3], [3, 7]]);
  });

  it("is painted where the token is shown, marks and all", () => {
    const source = "a **bold** word";
    const root = render(source);
    const ranges = findRanges(root, source, [token("a ", 1), token("**bold", 0.1), token("**", 1), token(" word", 0.3)]);
    expect(ranges.map(({range}) => range.toString())).toEqual(["bold", "word"]);
  });

  it("does not look into the captions of code", () => {
    const source = "```py\npy = 1\n```";
    const map = mapSource(render(source), source);
    expect(map[source.lastIndexOf("py")]!.node.data.startsWith("py = 1")).toBe(true);
  });

  it("names what it was least sure of", () => {
    expect(leastSure([token("a", 0.5), token(".", 0.01), token("b", 0.2), token("c", 0.9)], 5).map((t) => t.text)).toEqual(["b", "a"]);
  });
});
