// The ollama package against a hub: lists, chats, completions, embeddings, streams, errors.
//
// Usage: node ollama.mjs BASE_URL MODEL.  Checks what any model must satisfy, and with the model
// "fake" what only the scripted hub does for sure.
import assert from "node:assert/strict";
import { baseUrl, check, errorOf, finish, load, model, prompt } from "./check.mjs";

const { Ollama } = await load("ollama");
const headers = { Authorization: `Bearer ${process.env.HEARTH_API_KEY}` };
const client = new Ollama({ host: baseUrl, headers });
const messages = [{ role: "user", content: prompt }];
const options = { num_predict: 24, temperature: 0.5, seed: 3 };

await check("list, ps, show, version", async () => {
  const { models } = await client.list();
  assert.ok(models.some(({ name }) => name === "auto"), JSON.stringify(models));
  for (const { digest, details } of models) {
    assert.match(digest, /^[0-9a-f]{64}$/);
    assert.equal(details.format, "gguf");
  }
  assert.ok(Array.isArray((await client.ps()).models));
  const shown = await client.show({ model: models.at(-1).name });
  assert.ok(shown.capabilities.includes("completion"));
  assert.match((await client.version()).version ?? "", /./);
});

await check("chat, whole", async () => {
  const r = await client.chat({ model, messages, options });
  assert.equal(r.message.role, "assistant");
  assert.ok(r.message.content.length > 0);
  assert.ok(r.done && r.eval_count > 0 && r.prompt_eval_count > 0 && r.total_duration >= 0);
  assert.ok(!Number.isNaN(Date.parse(r.created_at)));
});

await check("chat, streamed", async () => {
  let text = "", last = null;
  for await (const part of await client.chat({ model, messages, options, stream: true })) {
    text += part.message.content;
    last = part;
  }
  assert.ok(text.length > 0);
  assert.ok(last.done);
  assert.match(last.done_reason, /^(stop|length)$/);
});

await check("generate: whole, streamed, raw, and loading alone", async () => {
  const whole = await client.generate({ model, prompt, system: "Be brief.", options });
  assert.ok(whole.response.length > 0);
  let text = "";
  // Raw: the caller brings the template, ember's here; what a model makes of a text without one is its own affair.
  const raw = `<|user|>${prompt}<|end|><|assistant|>`;
  for await (const part of await client.generate({ model, prompt: raw, options, raw: true, stream: true })) text += part.response;
  assert.ok(text.length > 0);
  assert.equal((await client.generate({ model, prompt: "" })).done_reason, "load");
});

if (model === "fake") {
  const tools = ["weather", "clock"].map((name) => ({
    type: "function", function: { name, description: name, parameters: { type: "object", properties: {} } } }));
  await check("tools and thinking, streamed; results go back", async () => {
    const calls = [];
    let thinking = "";
    for await (const { message } of await client.chat({ model, tools, stream: true,
      messages: [{ role: "user", content: "call them" }] })) {
      thinking += message.thinking ?? "";
      calls.push(...(message.tool_calls ?? []));
    }
    assert.equal(thinking, "Hm.");
    assert.deepEqual(calls.map((call) => call.function.arguments.of), ["weather \u20ac", "clock \u20ac"]);
    const next = await client.chat({ model, tools, messages: [{ role: "user", content: "call them" },
      { role: "assistant", content: "", tool_calls: calls },
      { role: "tool", tool_name: "clock", content: "noon" }] });
    assert.equal(next.message.content, "You said: noon ");
  });
  await check("pull: streamed over a broken line, then whole; delete says what it may not", async () => {
    const states = [];
    for await (const state of await client.pull({ model: "tiny:1b", stream: true })) states.push(state);
    assert.equal(states[0].status, "pulling manifest");
    assert.ok(states.some(({ digest, total, completed }) => /^sha256:/.test(digest) && total === 300_000 && completed === total));
    assert.equal(states.at(-1).status, "success");
    assert.equal((await client.pull({ model: "tiny:1b" })).status, "success");
    await assert.rejects(client.pull({ model: "tiny:9b" }), /there is no 'library\/tiny:9b' in the registry/);
    await assert.rejects(client.delete({ model: "fake" }), /was not pulled by Hearth/);
  });

  await check("embeddings", async () => {
    const { embeddings } = await client.embed({ model: "fake-encoder", input: ["a", "bc"] });
    assert.deepEqual(embeddings, [[1, 1], [2, 1]]);
    assert.deepEqual((await client.embeddings({ model: "fake-encoder", prompt: "abc" })).embedding, [3, 1]);
  });
}

await check("errors are one sentence", async () => {
  const unknown = await errorOf(() => client.chat({ model: "no-such-model-here", messages }));
  assert.equal(unknown.status_code, 404);
  assert.match(unknown.message, /no-such-model-here/);
  const image = await errorOf(() => client.chat({ model, messages: [{ role: "user", content: "x", images: ["AA=="] }] }));
  assert.equal(image.status_code, 400);
});

finish();
