// What the page weighs, and how soon it shows something.
import assert from "node:assert/strict";
import test from "node:test";
import {HUB, withPage} from "./browser.mjs";

const BYTES_MAX = 250 * 1024; // All of it but Mermaid, compressed.
const FIRST_PAINT_MS_MAX = 300;

test("the page is light, and shows itself at once", () => withPage(async (page, context) => {
  for (const view of ["models", "compare", "ledger", "silicon", "live", "chat"]) {
    await page.goto(`${HUB}/#/${view}`);
    await page.locator(`main.view-${view} h1`).waitFor({state: "attached"});
  }
  const bytes = await page.evaluate(async () => {
    const sizes = performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
      .filter((e) => new URL(e.name).pathname.match(/^\/($|assets|icon)/)).map((e) => e.encodedBodySize);
    return sizes.reduce((a, b) => a + b, 0);
  });
  assert.ok(bytes > 10_000 && bytes < BYTES_MAX, `${bytes} bytes`);

  // The best of a few loads: what the page takes, and not what else the machine does.
  const paints = [];
  for (let i = 0; i < 3; i += 1) {
    const fresh = await context.newPage();
    await fresh.goto(page.url());
    await fresh.waitForFunction(() => performance.getEntriesByName("first-contentful-paint").length);
    paints.push(await fresh.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0].startTime));
    await fresh.close();
  }
  console.log(`page: ${bytes} bytes with all views, first paint after ${paints.map((p) => p.toFixed(0)).join(", ")} ms`);
  if (process.env.HEARTH_PAGE_TIMED) assert.ok(Math.min(...paints) < FIRST_PAINT_MS_MAX, `first paint: ${paints} ms`);
}));
