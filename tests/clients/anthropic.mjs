// Anthropic's package against a hub: messages, streams, tools, thinking, counting, errors.
//
// Usage: node anthropic.mjs BASE_URL MODEL.  Checks what any model must satisfy, and with the model
// "fake" what only the scripted hub does for sure.
import assert from "node:assert/strict";
import { baseUrl, check, errorOf, finish, load, model, prompt } from "./check.mjs";

const { default: Anthropic } = await load("@anthropic-ai/sdk");
const client = new Anthropic({ baseURL: baseUrl, apiKey: process.env.HEARTH_API_KEY, maxRetries: 0 });
const messages = [{ role: "user", content: prompt }];

await check("messages.create", async () => {
  const { data, response } = await client.messages.create({ model, messages, max_tokens: 24 }).withResponse();
  assert.equal(data.type, "message");
  assert.equal(data.role, "assistant");
  assert.ok(data.content.find(({ type }) => type === "text").text.length > 0);
  assert.match(data.stop_reason, /^(end_turn|max_tokens)$/);
  assert.ok(data.usage.input_tokens + data.usage.cache_read_input_tokens > 0);
  assert.ok(data.usage.output_tokens > 0);
  assert.match(response.headers.get("x-hearth-receipt"), /^r-/);
});

await check("messages.stream", async () => {
  const stream = client.messages.stream({ model, messages, max_tokens: 24 });
  let text = "";
  stream.on("text", (piece) => (text += piece));
  const final = await stream.finalMessage();
  assert.equal(final.content.find(({ type }) => type === "text").text, text);
  assert.ok(final.usage.output_tokens > 0);
});

await check("a system prompt in blocks, many turns, stop sequences", async () => {
  const r = await client.messages.create({
    model, max_tokens: 8, temperature: 0, top_k: 5, stop_sequences: ["\u0001"],
    system: [{ type: "text", text: "Be brief.", cache_control: { type: "ephemeral" } }],
    messages: [{ role: "user", content: [{ type: "text", text: "Hi" }] }, { role: "assistant", content: "Hello." },
               ...messages],
    metadata: { user_id: "someone" },
  });
  assert.equal(r.content[0].type, "text");
});

await check("count_tokens", async () => {
  const { input_tokens } = await client.messages.countTokens({ model, messages });
  assert.ok(input_tokens > 0);
});

if (model === "fake") {
  const tools = ["weather", "clock"].map((name) => ({
    name, description: `The ${name}.`, input_schema: { type: "object", properties: { of: { type: "string" } } } }));
  const callPlease = { model, tools, max_tokens: 100, messages: [{ role: "user", content: "call them" }] };
  const checkCalls = ({ content, stop_reason }) => {
    assert.deepEqual(content.map(({ type }) => type), ["thinking", "text", "tool_use", "tool_use"]);
    assert.equal(content[0].thinking, "Hm.");
    assert.deepEqual(content[2].input, { of: "weather \u20ac" });
    assert.deepEqual(content[3].input, { of: "clock \u20ac" });
    assert.equal(stop_reason, "tool_use");
  };

  await check("tools and thinking, whole", async () => checkCalls(await client.messages.create(callPlease)));
  await check("tools and thinking, streamed", async () =>
    checkCalls(await client.messages.stream(callPlease).finalMessage()));

  await check("the advisor tool: the hub's adviser, in its blocks", async () => {
    const tool = { type: "advisor_20260301", name: "advisor", model: "claude-opus-4-6", max_uses: 1 };
    const ask = { model, max_tokens: 9, betas: ["advisor-tool-2026-03-01"], tools: [tool],
      messages: [{ role: "user", content: "advise" }] };
    const whole = await client.beta.messages.create(ask);
    assert.deepEqual(whole.content.map(({ type }) => type), ["server_tool_use", "advisor_tool_result", "text"]);
    assert.equal(whole.content[1].content.text, "Mind the \u20ac.");
    const streamed = await client.beta.messages.stream(ask).finalMessage();
    assert.deepEqual(streamed.content.map(({ type }) => type), whole.content.map(({ type }) => type));
    const next = await client.beta.messages.create({ ...ask, messages: [
      ...ask.messages, { role: "assistant", content: whole.content }, { role: "user", content: "thanks" }] });
    assert.equal(next.content[0].text, "You said: thanks ");
  });

  await check("a round trip: call, result, answer", async () => {
    const { content } = await client.messages.create(callPlease);
    const results = content.filter(({ type }) => type === "tool_use")
      .map(({ id, name }) => ({ type: "tool_result", tool_use_id: id, content: `${name} is fine` }));
    const next = await client.messages.create({ ...callPlease, messages: [
      ...callPlease.messages, { role: "assistant", content }, { role: "user", content: results }] });
    assert.equal(next.content[0].text, "You said: clock is fine ");
  });
}

await check("errors have their class and type", async () => {
  const unknown = await errorOf(() => client.messages.create({ model: "no-such-model-here", messages, max_tokens: 1 }));
  assert.ok(unknown instanceof Anthropic.NotFoundError, String(unknown));
  assert.equal(unknown.error.error.type, "not_found_error");
  const image = await errorOf(() => client.messages.create({ model, max_tokens: 1, messages: [{ role: "user", content: [
    { type: "image", source: { type: "base64", media_type: "image/png", data: "AA==" } }] }] }));
  assert.ok(image instanceof Anthropic.BadRequestError, String(image));
  assert.match(image.error.error.message, /read text only/);
});

await check("a client that leaves a stream early", async () => {
  const stream = await client.messages.create({ model, messages, max_tokens: 64, stream: true });
  for await (const event of stream) if (event.type === "content_block_delta") break;
  const again = await client.messages.create({ model, messages, max_tokens: 4 });
  assert.equal(again.type, "message");
});

finish();
