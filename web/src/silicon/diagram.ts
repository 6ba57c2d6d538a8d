// The document that draws one of the program's pictures with Mermaid, in a frame of the page.
//
// It is a document of its own since Mermaid writes styles and markup as text, which the page's policy forbids: here
// no model's words ever come, only the pictures of architecture.ts.  "#ID/light" or "#ID/dark" says which.

import mermaid from "mermaid";
import {PICTURES} from "./architecture";

const COLOURS = {
  light: {paper: "#fdfbf7", raised: "#ffffff", ink: "#2a2420", soft: "#6a5f55", line: "#8c8075", glow: "#fbeadd"},
  dark: {paper: "#191714", raised: "#221f1b", ink: "#e9e3da", soft: "#a99f93", line: "#7d7367", glow: "#3a2617"},
};

const LEGIBLE_PX = 720;

async function draw(): Promise<void> {
  const [id, theme] = location.hash.slice(1).split("/");
  const picture = PICTURES.find((row) => row.id === id) ?? PICTURES[0];
  const colours = COLOURS[theme === "dark" ? "dark" : "light"];
  mermaid.initialize({
    startOnLoad: false,
    securityLevel: "antiscript",
    theme: "base",
    fontFamily: "system-ui, sans-serif",
    flowchart: {htmlLabels: true, curve: "basis", nodeSpacing: 26, rankSpacing: 32},
    themeVariables: {
      background: colours.paper, primaryColor: colours.raised, primaryTextColor: colours.ink, primaryBorderColor: colours.line,
      lineColor: colours.soft, secondaryColor: colours.glow, tertiaryColor: colours.glow, edgeLabelBackground: colours.paper, fontSize: "16px",
    },
  });
  Object.assign(document.body.style, {background: colours.paper, overflow: "auto"});
  const {svg} = await mermaid.render("picture", picture.source);
  document.body.innerHTML = svg;
  const drawn = document.querySelector("svg")!;
  const natural = drawn.viewBox.baseVal.width;
  // No larger than it is, and legible on a phone, which scrolls.
  Object.assign(drawn.style, {display: "block", margin: "auto", width: `${natural}px`, maxWidth: "100%", minWidth: `${Math.min(natural, LEGIBLE_PX)}px`});
  tellHeight();
}

// The frame is as high as its picture.
function tellHeight(): void {
  const frame = window.frameElement as HTMLIFrameElement | null;
  const drawn = document.querySelector("svg");
  if (frame && drawn) frame.height = String(Math.ceil(drawn.getBoundingClientRect().height) + 16);
}

addEventListener("hashchange", () => void draw());
addEventListener("resize", tellHeight);
void draw();
