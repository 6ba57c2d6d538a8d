// Models: what is there, live; loading, pinning, evicting, trying; pulling over a line that breaks, and deleting; what
// this machine can run.
import assert from "node:assert/strict";
import test from "node:test";
import {assertAccessible, withPage} from "./browser.mjs";

const model = (page, name) => page.locator(".model", {has: page.getByRole("heading", {name, exact: true})});

test("a person loads a model, pins it, evicts it, and tries one", () => withPage(async (page) => {
  const button = (name) => model(page, "tiny-c").getByRole("button", {name: `${name} tiny-c`, exact: true});
  const order = () => page.locator(".model h2").allInnerTexts();
  await button("Load").waitFor();
  const before = await order();
  await button("Load").focus();
  await page.keyboard.press("Enter");
  await page.getByText("tiny-c is loaded").waitFor();
  await page.locator(".budget li", {hasText: "tiny-c"}).waitFor();
  await button("Evict").waitFor();
  assert.deepEqual(await order(), before); // Though what is in memory comes first when the view is opened.
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Evict tiny-c");
  await button("Pin").click();
  await model(page, "tiny-c").locator(".chip.pinned").waitFor();
  assert.equal(await button("Evict").count(), 0); // What is pinned stays.
  await assertAccessible(page);
  await button("Unpin").click();
  await button("Evict").click();
  await page.getByText("tiny-c is unloaded").waitFor();
  await button("Load").waitFor();
  await model(page, "ember").getByRole("button", {name: "Try ember"}).click();
  assert.equal(await page.locator("#model").inputValue(), "ember");
}, {path: "/#/models"}));

test("a person pulls a model over a line that breaks, and asks it", () => withPage(async (page) => {
  await page.getByLabel("Pull a model").fill("good:1b");
  await page.keyboard.press("Enter");
  const pull = page.locator(".pull").first();
  await pull.getByText("is here").waitFor(); // The hub itself went on where the line broke.
  const name = await pull.locator("strong").innerText();
  await model(page, name).getByRole("button", {name: `Try ${name}`, exact: true}).click();
  await page.fill("#ask", "hi");
  await page.selectOption("#advice", "never");
  await page.press("#ask", "Enter");
  await page.locator(".receipt, .assistant .said:not(:empty)").first().waitFor();
  await page.keyboard.press("Escape");
}, {path: "/#/models"}));

test("a pull that is stopped goes on from where it was, and is deleted", () => withPage(async (page) => {
  await page.getByLabel("Pull a model").fill("stalled:1b");
  await page.keyboard.press("Enter");
  const pull = page.locator(".pull").first();
  await pull.getByText(/\d+ [KM]iB of \d/).waitFor();
  await assertAccessible(page);
  await pull.getByRole("button", {name: "Stop: stalled:1b"}).click();
  await pull.getByText("stopped; what came is kept").waitFor();
  await pull.getByRole("button", {name: "Go on: stalled:1b"}).click();
  await pull.getByText(/is here.*went on at \d/).waitFor();

  // What is in use stays, and the page says why.
  const name = await pull.locator("strong").innerText();
  const button = (label) => model(page, name).getByRole("button", {name: `${label} ${name}`, exact: true});
  await button("Pin").click();
  await page.getByText(`${name} stays in memory`).waitFor();
  await button("Delete").click();
  await page.locator("models-view > .page > .fault", {hasText: name}).waitFor();
  await button("Unpin").click();
  await page.getByText(`${name} may be unloaded again`).waitFor();
  await button("Delete").focus();
  await page.keyboard.press("Enter");
  await page.getByText(`${name} is deleted.`).waitFor();
  await model(page, name).waitFor({state: "detached"});
  assert.match(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), /^Try /);
  assert.equal(await page.getByRole("button", {name: /^Delete ember|^Delete tiny/}).count(), 0); // Nor is what came otherwise.
}, {path: "/#/models", expectErrors: true}));

test("a registry that has it not is named", () => withPage(async (page) => {
  await page.getByLabel("Pull a model").fill("https://evil.example/x.gguf");
  await page.keyboard.press("Enter");
  await page.locator(".pull [role=alert]").waitFor();
  await page.getByRole("button", {name: /^Dismiss/}).click();
  await page.locator(".pull").waitFor({state: "detached"});
}, {path: "/#/models", expectErrors: true}));

test("a person learns what this machine can run", () => withPage(async (page) => {
  await page.getByRole("button", {name: "Measure this machine"}).click();
  await page.getByText(/It reads memory at [\d.]+ GB\/s/).waitFor();
  const row = page.locator("machine-box tr", {hasText: "Qwen3-0.6B-Q8_0"});
  assert.match(await row.innerText(), /600 M.*MiB.*about \d/s);
  assert.equal(await page.locator("machine-box .chip", {hasText: "best here"}).count() <= 1, true);
  await assertAccessible(page);

  // What is pulled from the list is marked there, and no longer once it is deleted.
  await row.getByRole("button", {name: "Pull Qwen3-0.6B-Q8_0"}).click();
  await row.getByText("here", {exact: true}).waitFor();
  await model(page, "Qwen3-0.6B-Q8_0").getByRole("button", {name: "Delete Qwen3-0.6B-Q8_0"}).click();
  await row.getByRole("button", {name: "Pull Qwen3-0.6B-Q8_0"}).waitFor();
}, {path: "/#/models"}));
