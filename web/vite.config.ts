// The page is one entry with lazily loaded parts; nothing of it comes from elsewhere.
import {defineConfig} from "vitest/config";

export default defineConfig({
  base: "/",
  build: {
    target: "es2022",
    assetsDir: "assets",
    assetsInlineLimit: 0, // data: URLs would need an exception in the page's policy.
    modulePreload: {polyfill: false},
    cssCodeSplit: false,
    reportCompressedSize: false,
  },
  test: {include: ["test/**/*.test.ts"], setupFiles: ["test/setup.mjs"], environment: "node"},
});
