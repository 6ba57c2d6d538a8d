// Conversations on the hub: by choice, from another browser, and gone when they are deleted.
import assert from "node:assert/strict";
import test from "node:test";
import {answered, ask, HUB, until, withPage} from "./browser.mjs";

const kept = async () => (await (await fetch(`${HUB}/hearth/v1/conversations`)).json()).conversations;

test("conversations are kept on the hub only by choice", async () => {
  await withPage(async (page) => {
    await ask(page, "What is a receipt?");
    await answered(page);
    assert.deepEqual(await kept(), []);
    await page.getByText("Kept in this browser alone").click();
    await page.getByText(/conversations, as plain text that its owner alone may\s+read/).waitFor();
    await page.getByRole("button", {name: "Keep them on the hub too"}).click();
    await page.getByText(/1 conversation, /).waitFor();
    await ask(page, "And a ledger?");
    await answered(page, 2);
    const [{id}] = await kept();
    await until(async () => {
      const {nodes} = await (await fetch(`${HUB}/hearth/v1/conversations/${id}`)).json();
      return Object.values(nodes).filter((node) => node.receipt).length === 2;
    });
  });
  // Another browser has it once that was switched on there.
  await withPage(async (page) => {
    assert.equal(await page.locator("history-list .title").count(), 0);
    await page.getByText("Kept in this browser alone").click();
    await page.getByRole("button", {name: "Keep them on the hub too"}).click();
    await page.locator("history-list .title", {hasText: "What is a receipt?"}).click();
    await answered(page, 2);
    await page.getByRole("button", {name: "Delete them there"}).click();
    await page.getByText("Kept in this browser alone").waitFor();
    await page.reload();
    await page.locator("history-list .title", {hasText: "What is a receipt?"}).click();
    await answered(page, 2);
  });
  assert.deepEqual(await kept(), []);
});
