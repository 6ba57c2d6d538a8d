// Every view on a phone, in light and dark; and the page without a mouse.
import assert from "node:assert/strict";
import test from "node:test";
import {answered, assertAccessible, HUB, withPage} from "./browser.mjs";

const VIEWS = ["chat", "models", "compare", "ledger", "silicon", "live"];

test("every view fits a phone, and axe finds no serious fault", () => withPage(async (page) => {
  for (const view of VIEWS) {
    await page.goto(`${HUB}/#/${view}`);
    await page.locator(`main.view-${view} h1`).waitFor({state: "attached"});
    assert.ok(await page.evaluate(() => [document.documentElement, document.querySelector("main")].every((e) => e.scrollWidth <= innerWidth)), view);
    await assertAccessible(page);
  }
}, {viewport: {width: 360, height: 700}, isMobile: true, hasTouch: true}));

test("everything is done from the keyboard", () => withPage(async (page) => {
  const focused = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? document.activeElement.textContent.trim());
  const tabTo = async (name) => {
    for (let i = 0; i < 80 && (await focused()) !== name; i += 1) await page.keyboard.press("Tab");
    assert.equal(await focused(), name); // Nothing that came meanwhile took it away.
  };
  await page.keyboard.press("Alt+2");
  await page.getByRole("button", {name: "Try ember"}).waitFor();
  await tabTo("Try ember");
  await page.keyboard.press("Enter");
  await page.keyboard.press("Alt+i");
  await page.keyboard.type("What is a receipt?");
  await page.keyboard.press("Enter");
  await answered(page);
  await page.keyboard.press("ArrowUp"); // The last question again.
  await page.getByLabel("Edit the question").waitFor();
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.activeElement.id === "ask");
  for (const [i, view] of VIEWS.entries()) {
    await page.keyboard.press(`Alt+${i + 1}`);
    await page.locator(`main.view-${view}`).waitFor();
  }
  await page.keyboard.press("Alt+/");
  await page.getByRole("dialog", {name: "Keys"}).waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog", {name: "Keys"}).waitFor({state: "hidden"});
}));
