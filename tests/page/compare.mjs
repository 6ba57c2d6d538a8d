// Compare: several models at once, where they part, blind votes, files.
import assert from "node:assert/strict";
import {readFile} from "node:fs/promises";
import test from "node:test";
import {assertAccessible, withPage} from "./browser.mjs";

async function choose(page, names) {
  await page.locator(".choice .tick").first().waitFor();
  for (const tick of await page.locator(".choice .tick").all()) {
    await tick.locator("input").setChecked(false);
  }
  for (const name of names) await page.locator(".choice").getByLabel(name, {exact: true}).check();
}

async function saved(page, format) {
  await page.getByRole("button", {name: "Save…"}).click();
  const [file] = await Promise.all([page.waitForEvent("download"), page.getByRole("menuitem", {name: format}).click()]);
  return readFile(await file.path(), "utf8");
}

test("a person compares three models, votes blindly, and keeps the result", () => withPage(async (page) => {
  await choose(page, ["ember", "tiny-a", "tiny-b"]);
  await page.fill("#max-tokens", "24");
  await page.fill("#prompt", "What is a receipt?");
  await page.press("#prompt", "Enter");
  await page.getByRole("button", {name: /Answer [ABC] is best/}).nth(2).waitFor();
  assert.deepEqual(await page.locator(".card h3").allInnerTexts(), ["Answer A", "Answer B", "Answer C"]);
  assert.equal(await page.locator(".figures").count(), 0); // They would tell who is who.
  assert.ok((await page.getByText(/Parts from the first after \d+ bytes/).count()) > 0);
  assert.ok(await page.evaluate(() => CSS.highlights.get("diverges").size > 0));
  await assertAccessible(page);

  const texts = await page.locator(".card .said").allInnerTexts();
  await page.locator(".vote").nth(texts.findIndex((text) => text.includes("receipt"))).click();
  await page.getByText("Counted for ember").waitFor();
  assert.equal(await page.locator(".figures").count(), 3);
  const best = page.locator("section[aria-labelledby=ratings] tbody tr").first();
  assert.match(await best.innerText(), /ember\s+1032\s+2\s+0\s+0/);

  const csv = await saved(page, "CSV");
  assert.equal(csv.split("\r\n")[0], '"prompt","model","answer","completion_tokens","first_token_ms","tokens_per_second","confidence","same_bytes"');
  const json = JSON.parse(await saved(page, "JSON"));
  assert.deepEqual(json.map((row) => row.model), ["ember", "tiny-a", "tiny-b"]);
  assert.equal(json[0].same, true);
  assert.match(await saved(page, "Markdown"), /^# What is a receipt\?/);

  // The votes stay in this browser.
  await page.reload();
  assert.match(await best.innerText(), /ember/);
}, {path: "/#/compare"}));

test("a file of prompts is asked one after the other", () => withPage(async (page) => {
  await choose(page, ["ember", "tiny-a"]);
  await page.locator(".options").getByText("In turn").click();
  await page.fill("#max-tokens", "8");
  await page.locator("input[type=file]").setInputFiles({name: "prompts.txt", mimeType: "text/plain", buffer: Buffer.from("What is a receipt?\n\nWhat is a ledger?\n")});
  await page.getByText("2 prompts of prompts.txt").waitFor();
  await page.locator("#compare").click();
  await page.locator(".comparison").nth(1).locator(".vote").nth(1).waitFor();
  assert.equal(await page.locator(".comparison").count(), 2);
  await page.getByRole("button", {name: "None is better"}).first().click();
  await page.getByText("Counted as a draw.").waitFor();
}, {path: "/#/compare"}));
