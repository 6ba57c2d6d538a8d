// Silicon: the slider, kernels under the roofs, a receipt, the pictures.
import assert from "node:assert/strict";
import test from "node:test";
import {assertAccessible, HUB, withPage} from "./browser.mjs";

test("a person moves the slider", () => withPage(async (page) => {
  const slider = page.getByLabel(/× \d+ floats/);
  await slider.focus();
  await page.keyboard.press("Home");
  for (let i = 0; i < 4; i += 1) await page.keyboard.press("ArrowRight"); // The last supersedes the others.
  await page.getByText("384 × 384 floats").waitFor();
  await page.locator(".gemm-figure", {hasText: /\d+ Gflop\/s of \d+/}).waitFor();
  await page.locator(".gemm svg").waitFor();
}, {path: "/#/silicon", expectErrors: true}));

test("kernels are timed beside the roofs, and have their contracts", () => withPage(async (page) => {
  await page.locator("section[aria-labelledby=kernels] tbody tr").first().waitFor();
  const run = {name: "mul_f32", sizes: {n: 65536}, repeats: 3, roof: true, outputs: "none"};
  const timed = await fetch(`${HUB}/hearth/v1/kernels/run`, {method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(run)});
  assert.equal(timed.status, 200, await timed.text());
  // A probe that a neighbour disturbed would leave the figure out.
  await page.route("**/hearth/v1/kernels", async (route) => {
    const response = await route.fetch();
    const list = await response.json();
    for (const {speed} of list.kernels) if (speed) speed.roof_percent = Math.min(speed.roof_percent, 90);
    return route.fulfill({response, json: list});
  });
  await page.reload();
  await page.locator(".roofline circle").first().waitFor();
  await assertAccessible(page);
  await page.getByRole("link", {name: "mul_f32"}).click();
  await page.getByRole("heading", {name: "mul_f32"}).waitFor();
  await page.getByText("Signature", {exact: true}).waitFor();
  await assertAccessible(page);
}, {path: "/#/silicon"}));

test("Mermaid comes when a picture is wanted, and not before", () => withPage(async (page) => {
  const scripts = () => page.evaluate(() => performance.getEntriesByType("resource").filter((e) => e.name.includes("diagram")).length);
  await page.getByRole("button", {name: "Rooms"}).waitFor();
  assert.equal(await scripts(), 0);
  await page.getByRole("button", {name: "Rooms"}).click();
  const frame = page.frameLocator("iframe.picture");
  await frame.getByText("a request from plan to receipt").waitFor();
  await page.getByRole("button", {name: "A request's way"}).click();
  await frame.getByText("sure enough?").waitFor();
  await assertAccessible(page);
}, {path: "/#/silicon"}));
