// Models: what is there, live; loading, unloading, trying.
import assert from "node:assert/strict";
import test from "node:test";
import {assertAccessible, withPage} from "./browser.mjs";

const model = (page, name) => page.locator(".model", {has: page.getByRole("heading", {name, exact: true})});

test("a person loads a model, unloads it, and tries it", () => withPage(async (page) => {
  await model(page, "tiny-c").getByRole("button", {name: "Load tiny-c", exact: true}).click();
  await page.getByText("tiny-c is loaded").waitFor();
  await page.locator(".budget li", {hasText: "tiny-c"}).waitFor();
  await assertAccessible(page);
  await model(page, "tiny-c").getByRole("button", {name: "Unload tiny-c"}).click();
  await page.getByText("tiny-c is unloaded").waitFor();
  await model(page, "tiny-c").getByRole("button", {name: "Load tiny-c", exact: true}).waitFor();
  await model(page, "ember").getByRole("button", {name: "Try ember"}).click();
  assert.equal(await page.locator("#model").inputValue(), "ember");
}, {path: "/#/models"}));
