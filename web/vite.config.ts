// The page is one entry with lazily loaded parts, and a document that draws with Mermaid; nothing of it comes from
// elsewhere.
import type {Plugin} from "vite";
import {defineConfig} from "vitest/config";

// Of Mermaid's kinds of diagrams the page draws flow charts; the others, and what only they need, would weigh ten
// times as much.
const UNUSED = /\/(?!flowDiagram)[\w-]*(?:Diagram|diagram|definition)(?:-v2)?-[A-Z0-9]+\.mjs$|cose-bilkent|^katex$/;

const flowChartsOnly: Plugin = {
  name: "flow-charts-only",
  enforce: "pre",
  resolveId: (source, importer) => (importer?.includes("mermaid") && UNUSED.test(source) ? "\0unused" : undefined),
  load: (id) => (id === "\0unused" ? "export const diagram = undefined; export default undefined;" : undefined),
};

export default defineConfig({
  base: "/",
  plugins: [flowChartsOnly],
  build: {
    target: "es2022",
    assetsDir: "assets",
    assetsInlineLimit: 0, // data: URLs would need an exception in the page's policy.
    modulePreload: {polyfill: false},
    cssCodeSplit: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1500, // Mermaid.
    rollupOptions: {input: {page: "index.html", diagram: "diagram.html"}},
  },
  test: {include: ["test/**/*.test.ts"], setupFiles: ["test/setup.mjs"], environment: "node"},
});
