// A browser for the tests of the page: Debian's Chromium, driven by playwright-core from web/node_modules.
//
// Every page that a test opens is watched: an error, a refused policy or a request to anywhere but the hub
// fails the test.

import assert from "node:assert/strict";
import {createRequire} from "node:module";
import {readFileSync} from "node:fs";

const require = createRequire(new URL("../../web/package.json", import.meta.url));
const {chromium} = require("playwright-core");
const axeSource = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const HUB = process.argv[2];
const CHROMIUM = process.env.CHROMIUM ?? "/usr/bin/chromium";
const PATIENCE_MS = 90_000; // A busy machine is no failure.
const SLOW_TIMES = Number(process.env.HEARTH_PAGE_SLOW ?? 1); // The page's processor is so many times slower, to find races.

export const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: ["--disable-gpu", "--disable-dev-shm-usage", ...(process.getuid() === 0 ? ["--no-sandbox"] : [])],
});

// Opens the page in a profile of its own, runs `act`, and holds the page to its rules.
export async function withPage(act, {path = "/", expectErrors = false, allowed = [], ...options} = {}) {
  const context = await browser.newContext({viewport: {width: 1280, height: 800}, ...options});
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  if (SLOW_TIMES > 1) await (await context.newCDPSession(page)).send("Emulation.setCPUThrottlingRate", {rate: SLOW_TIMES});
  const faults = [];
  page.on("pageerror", (error) => faults.push(`error: ${error.message}`));
  page.on("console", (line) => {
    if (line.type() === "error" && !expectErrors) faults.push(`console: ${line.text()}`);
  });
  page.on("request", (request) => {
    const {origin, protocol} = new URL(request.url());
    if (![new URL(HUB).origin, ...allowed].includes(origin) && protocol !== "blob:") faults.push(`request to ${request.url()}`);
  });
  page.on("dialog", (dialog) => {
    if (dialog.type() !== "confirm") faults.push(`dialog: ${dialog.message()}`);
    void dialog.accept();
  });
  try {
    await page.goto(HUB + path);
    await act(page, context);
    assert.deepEqual(faults, []);
  } catch (error) {
    console.log(await page.evaluate(() => `at ${location.hash}, focus on ${document.activeElement?.outerHTML.slice(0, 200)}, shown:\n${
      document.querySelector("main")?.innerText.slice(0, 2000)}`).catch((e) => e.message), faults);
    if (process.env.HEARTH_PAGE_SHOTS) await page.screenshot({path: `${process.env.HEARTH_PAGE_SHOTS}/failed.png`});
    throw error;
  } finally {
    await context.close();
  }
}

// No fault that axe calls serious or critical, in light and dark.
export async function assertAccessible(page) {
  await page.evaluate(axeSource);
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({colorScheme, reducedMotion: "reduce"}); // What moves has no contrast to measure.
    const faults = await page.evaluate(async () => {
      const {violations} = await globalThis.axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]});
      return violations.filter((v) => ["serious", "critical"].includes(v.impact))
        .flatMap((v) => v.nodes.map((node) => `${v.id}: ${node.target.join(" ")}: ${node.failureSummary}`));
    });
    assert.deepEqual(faults, [], colorScheme);
  }
}

// Asks, once the answer before is over.
export async function ask(page, text, model = "ember") {
  await page.locator("#send").waitFor();
  await page.waitForSelector(`#model option[value="${model}"]`, {state: "attached"});
  await page.selectOption("#model", model);
  await page.fill("#ask", text);
  await page.press("#ask", "Enter");
}

// Until something outside of the page is so.
export async function until(condition) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await condition())) {
    assert.ok(Date.now() < end, `it did not become so: ${condition}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

// Answers come as the hub gives them, but end only by being stopped, however fast their model is; the returned
// function lets those end that are asked for later.
export async function withoutEnds(page) {
  await page.evaluate(() => {
    const plain = globalThis.fetch;
    globalThis.letEnd = () => (globalThis.fetch = plain);
    globalThis.fetch = async (path, init) => {
      const response = await plain(path, init);
      if (path !== "/v1/chat/completions") return response;
      const reader = response.body.getReader();
      const pull = async (controller) => {
        const {done, value} = await reader.read();
        if (!done) return controller.enqueue(value);
        await new Promise((_, leave) => init.signal.addEventListener("abort", () => leave(init.signal.reason)));
      };
      return new Response(new ReadableStream({pull}), {headers: response.headers});
    };
  });
  return () => page.evaluate(() => globalThis.letEnd());
}

export const answered = (page, n = 1) => page.locator(".receipt").nth(n - 1).waitFor();
