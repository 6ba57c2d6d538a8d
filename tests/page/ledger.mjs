// The ledger: what was asked elsewhere is found again, byte for byte; consents; live figures.
import assert from "node:assert/strict";
import test from "node:test";
import {answered, ask, assertAccessible, HUB, withPage} from "./browser.mjs";

const receiptId = async (page) => /r-[0-9A-Z]{26}/.exec(await page.locator(".receipt").first().textContent())[0];
const dialogOf = (page) => page.getByRole("dialog", {name: "May this leave your machine?"});

test("a person refuses, allows, and finds the bytes that left in the ledger", () => withPage(async (page) => {
  await page.selectOption("#advice", "always");
  await ask(page, "What is the capital of France? Ann Smith wants to know: ann.smith@example.com");
  await dialogOf(page).waitFor();
  await assertAccessible(page);
  await page.getByRole("button", {name: "Refuse"}).click();
  await answered(page);
  assert.match(await page.locator(".receipt summary").innerText(), /nothing left this machine · \$0$/);
  const refused = await receiptId(page);

  await page.getByRole("button", {name: "Again", exact: true}).click();
  await dialogOf(page).waitFor();
  const shown = await page.getByLabel("Bytes that would leave").innerText();
  await page.getByRole("button", {name: "Allow"}).click();
  await page.locator(".receipt summary", {hasText: "advised by"}).waitFor();
  assert.match(await page.locator(".receipt summary").innerText(), /advised by test\/scripted · [\d.]+ K?i?B left this machine · \$0\.\d+/);
  await page.locator(".receipt summary").click();
  await page.getByRole("link", {name: "The exact bytes that left"}).click();
  const body = await page.getByLabel("Bytes that left").innerText();
  assert.equal(body, shown);
  assert.match(body, /capital of France/);
  assert.doesNotMatch(body, /ann\.smith@example\.com/); // A placeholder went in its place.
  assert.doesNotMatch(await page.getByLabel("Headers that left").innerText(), /sk-test/);
  await assertAccessible(page);

  // The one that was refused is there, too: nothing left for it.
  await page.getByRole("link", {name: "All receipts"}).click();
  await page.locator(`a[href="#/ledger/${refused}"]`).click();
  await page.getByText(refused).waitFor();
  await page.getByText("Nothing left this machine for it.").waitFor();
  await page.getByRole("link", {name: "All receipts"}).click();
  await page.getByLabel("Only those for which something left").check();
  await page.locator("tbody", {hasText: "advised by test/scripted"}).first().waitFor();
  await page.locator("day-plot canvas").waitFor();
  await page.locator("#verify").click();
  await page.getByText(/The ledger holds: \d+ rows/).waitFor();
  await page.getByLabel("A text to try the policy on").fill("Mail ann@example.com");
  await page.getByRole("button", {name: "Explain"}).click();
  await page.getByText("leaves only if you say so").waitFor();
  await assertAccessible(page);
}));

// What a hub that wants a consent streams, and the route that takes the answer.
async function wantsConsent(page, said) {
  const departure = {
    id: "c-1", request: "r-1", provider: "cloud", model: "big", url: "https://cloud.example/v1/chat", label: "private",
    headers: "content-type: application/json", body: '{"messages":["<b>exact</b> bytes"]}', worst_usd_micro: 1200,
  };
  await page.route("**/hearth/v1/consents/c-1", (route) => {
    said.push(route.request().postDataJSON());
    return route.fulfill({json: {id: "c-1"}});
  });
  // The answer ends once there was a word.
  await page.addInitScript((departureJson) => {
    const plain = globalThis.fetch;
    globalThis.fetch = async (path, init) => {
      if (String(path).startsWith("/hearth/v1/consents/")) {
        const response = await plain(path, init);
        globalThis.endAnswer();
        return response;
      }
      if (path !== "/v1/chat/completions") return plain(path, init);
      const stream = new ReadableStream({start(controller) {
        const send = (text) => controller.enqueue(new TextEncoder().encode(text));
        send(`: x-hearth-consent: ${departureJson}\n\n`);
        globalThis.endAnswer = () => {
          send('data: {"choices":[{"delta":{"content":"After your word."}}]}\n\ndata: [DONE]\n\n');
          controller.close();
        };
      }});
      return new Response(stream, {headers: {"Content-Type": "text/event-stream"}});
    };
  }, JSON.stringify(departure));
  await page.reload();
}

test("a person sees exactly what would leave, and refuses it", () => withPage(async (page) => {
  const said = [];
  await wantsConsent(page, said);
  await page.fill("#ask", "hi");
  await page.press("#ask", "Enter");
  const dialog = page.getByRole("dialog", {name: "May this leave your machine?"});
  await dialog.waitFor();
  assert.equal(await page.getByLabel("Bytes that would leave").innerText(), '{"messages":["<b>exact</b> bytes"]}');
  assert.equal(await page.evaluate(() => document.activeElement.id), "refuse");
  await assertAccessible(page);
  await page.keyboard.press("Escape");
  await page.getByText("After your word.").waitFor();
  await dialog.waitFor({state: "hidden"});
  assert.deepEqual(said, [{answer: "refuse", remember: false}]);

  await page.fill("#ask", "again");
  await page.press("#ask", "Enter");
  await page.getByLabel("The same answer from now on").check();
  await page.getByRole("button", {name: "Allow"}).click();
  await page.getByText("After your word.").nth(1).waitFor();
  assert.deepEqual(said[1], {answer: "allow", remember: true});
}));

test("live figures move", () => withPage(async (page) => {
  await page.locator(".live", {hasText: "Tokens written per second"}).locator("strong").waitFor();
  // Something is being written for as long as somebody looks.
  const stop = new AbortController();
  const write = () => fetch(`${HUB}/v1/chat/completions`, {method: "POST", signal: stop.signal, headers: {"Content-Type": "application/json"},
    body: JSON.stringify({model: "tiny-a", stream: true, ignore_eos: true, messages: [{role: "user", content: "x"}]})}).then((r) => r.text());
  const writing = (async () => {
    while (!stop.signal.aborted) await write();
  })().catch(() => undefined);
  await page.waitForFunction((text) => Number([...document.querySelectorAll(".live")].find((f) => f.textContent.includes(text)).querySelector("strong").textContent) > 0,
    "Tokens written per second");
  stop.abort();
  await writing;
  await assertAccessible(page);
}, {path: "/#/live"}));
