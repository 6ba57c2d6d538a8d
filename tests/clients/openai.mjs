// The openai package against a hub: models, chat, responses, streams, errors, leaving early.
//
// Usage: node openai.mjs BASE_URL MODEL.  Checks what any model must satisfy; prints a line per check
// and exits 1 at the end if one failed.
import assert from "node:assert/strict";
import { baseUrl, check, errorOf, finish, load, model } from "./check.mjs";

const { default: OpenAI } = await load("openai");
const client = new OpenAI({
  baseURL: `${baseUrl}/v1`,
  apiKey: process.env.HEARTH_API_KEY,
  maxRetries: 0,
});
const messages = [{ role: "user", content: process.env.PROMPT }];

function checkUsage(usage) {
  assert.ok(usage.prompt_tokens > 0);
  assert.equal(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens);
  assert.ok(usage.prompt_tokens_details.cached_tokens >= 0);
}

await check("models.list and models.retrieve", async () => {
  const ids = [];
  for await (const entry of client.models.list()) ids.push(entry.id);
  assert.ok(ids.includes("auto") && ids.includes("local"), `ids: ${ids}`);
  for (const id of ids) assert.equal((await client.models.retrieve(id)).id, id);
});

await check("chat", async () => {
  const { data, response } = await client.chat.completions
    .create({ model, messages, max_completion_tokens: 24 })
    .withResponse();
  assert.equal(data.object, "chat.completion");
  assert.equal(data.choices[0].message.role, "assistant");
  assert.ok(data.choices[0].message.content.length > 0);
  assert.match(data.choices[0].finish_reason, /^(stop|length)$/);
  checkUsage(data.usage);
  assert.match(response.headers.get("x-hearth-receipt"), /^r-/);
});

await check("chat, streamed, with usage", async () => {
  const stream = await client.chat.completions.create({
    model, messages, max_completion_tokens: 24, stream: true, stream_options: { include_usage: true },
  });
  let text = "", role = null, finish = null, last = null;
  for await (const chunk of stream) {
    last = chunk;
    if (chunk.choices.length === 0) continue;
    role ??= chunk.choices[0].delta.role;
    text += chunk.choices[0].delta.content ?? "";
    finish ??= chunk.choices[0].finish_reason;
  }
  assert.equal(role, "assistant");
  assert.ok(text.length > 0);
  assert.match(finish, /^(stop|length)$/);
  checkUsage(last.usage);
  assert.match(last.hearth.id, /^r-/);
});

await check("chat.completions.stream() helper", async () => {
  const stream = client.chat.completions.stream({ model, messages, max_completion_tokens: 16 });
  let pieces = "";
  stream.on("content", (delta) => (pieces += delta));
  const final = await stream.finalChatCompletion();
  assert.equal(final.choices[0].message.content, pieces);
});

await check("same seed, same text; n choices; stop", async () => {
  const ask = (extra) => client.chat.completions.create(
    { model, messages, max_completion_tokens: 16, seed: 7, temperature: 1, ...extra });
  const [a, b] = [await ask({}), await ask({})];
  assert.equal(a.choices[0].message.content, b.choices[0].message.content);
  assert.equal((await ask({ n: 2 })).choices.length, 2);
  assert.equal((await ask({ stop: ["\u0001"] })).choices.length, 1);
});

await check("logprobs", async () => {
  const r = await client.chat.completions.create(
    { model, messages, max_completion_tokens: 4, logprobs: true, top_logprobs: 2 });
  const content = r.choices[0].logprobs.content;
  assert.ok(content.length > 0);
  for (const token of content) {
    assert.ok(token.logprob <= 0 && Array.isArray(token.bytes));
    assert.equal(token.top_logprobs.length, 2);
  }
});

await check("completions, whole and streamed", async () => {
  const whole = await client.completions.create({ model, prompt: "Once upon a time", max_tokens: 8 });
  assert.equal(whole.object, "text_completion");
  assert.equal(typeof whole.choices[0].text, "string");
  let text = "";
  const stream = await client.completions.create(
    { model, prompt: "Once upon a time", max_tokens: 8, stream: true });
  for await (const chunk of stream) text += chunk.choices[0].text;
  assert.ok(text.length > 0);
});

await check("what coding clients send is tolerated", async () => {
  const r = await client.chat.completions.create({
    model, max_completion_tokens: 8, store: false, reasoning_effort: "medium", parallel_tool_calls: true,
    tools: [{ type: "function", function: { name: "bash", parameters: { type: "object" } } }],
    messages: [
      { role: "developer", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "List files." }] },
      { role: "assistant", content: null, reasoning_content: "Use a tool.", tool_calls: [
        { id: "call_1", type: "function", function: { name: "bash", arguments: '{"c":"ls"}' } }] },
      { role: "tool", tool_call_id: "call_1", content: "a.txt" },
      { role: "user", content: "Thanks." },
    ],
  });
  assert.equal(typeof r.choices[0].message.content, "string");
});

// What only the scripted hub does for sure: it calls every tool that it is offered.
const tools = ["weather", "clock"].map((name) => ({
  type: "function",
  function: { name, description: `The ${name}.`, parameters: { type: "object", properties: { of: { type: "string" } } } },
}));
const callPlease = { model, tools, messages: [{ role: "user", content: "call them" }] };

function checkCalls(message) {
  assert.equal(message.content, "Wait. ");
  assert.equal(message.tool_calls.length, 2);
  message.tool_calls.forEach((call, i) => {
    assert.equal(call.type, "function");
    assert.match(call.id, /^call_/);
    assert.equal(call.function.name, tools[i].function.name);
    assert.deepEqual(JSON.parse(call.function.arguments), { of: `${call.function.name} \u20ac` });
  });
}

if (model === "fake") {
  await check("tool calls and thinking, whole", async () => {
    const { choices } = await client.chat.completions.create(callPlease);
    checkCalls(choices[0].message);
    assert.equal(choices[0].message.reasoning_content, "Hm.");
    assert.equal(choices[0].finish_reason, "tool_calls");
  });

  await check("tool calls and thinking, streamed", async () => {
    const stream = client.chat.completions.stream(callPlease);
    let thinking = "", ids = 0;
    stream.on("chunk", ({ choices }) => {
      thinking += choices[0]?.delta.reasoning_content ?? "";
      ids += choices[0]?.delta.tool_calls?.filter((call) => call.id).length ?? 0;
    });
    const { choices } = await stream.finalChatCompletion();
    checkCalls(choices[0].message);
    assert.equal(choices[0].finish_reason, "tool_calls");
    assert.equal(thinking, "Hm.");
    assert.equal(ids, 2);  // Only in each call's first piece.
  });

  await check("a round trip: call, result, answer", async () => {
    const called = [];
    const runner = client.chat.completions.runTools({
      model, messages: callPlease.messages,
      tools: tools.map(({ type, function: f }) => ({ type, function: {
        ...f, parse: JSON.parse, function: (args) => { called.push(args.of); return `${f.name} is fine`; } } })),
    });
    assert.equal(await runner.finalContent(), "You said: clock is fine ");
    assert.deepEqual(called, ["weather \u20ac", "clock \u20ac"]);
  });
}

await check("responses, whole", async () => {
  const r = await client.responses.create({ model, input: process.env.PROMPT, instructions: "Be brief.",
    max_output_tokens: 24, store: false });
  assert.equal(r.object, "response");
  assert.match(r.status, /^(completed|incomplete)$/);
  assert.ok(r.output_text.length > 0);
  assert.equal(r.usage.total_tokens, r.usage.input_tokens + r.usage.output_tokens);
});

await check("responses, streamed", async () => {
  const stream = client.responses.stream({ model, input: [{ role: "user", content: process.env.PROMPT }],
    max_output_tokens: 24, store: false });
  let text = "", numbers = [];
  for await (const event of stream) {
    numbers.push(event.sequence_number);
    if (event.type === "response.output_text.delta") text += event.delta;
  }
  const final = await stream.finalResponse();
  assert.equal(final.output_text, text);
  assert.deepEqual(numbers, numbers.map((_, i) => i));
});

if (model === "fake") {
  await check("responses: thinking, calls and their results", async () => {
    const flat = tools.map(({ function: f }) => ({ type: "function", strict: false, ...f }));
    const stream = client.responses.stream({ model, input: "call them", tools: flat, store: false });
    for await (const _ of stream);
    const { output } = await stream.finalResponse();
    assert.deepEqual(output.map(({ type }) => type), ["reasoning", "message", "function_call", "function_call"]);
    assert.deepEqual(JSON.parse(output[2].arguments), { of: "weather \u20ac" });
    const next = await client.responses.create({ model, store: false, tools: flat, input: [
      { role: "user", content: "call them" }, ...output.map(({ parsed, parsed_arguments, ...item }) => item),
      { type: "function_call_output", call_id: output[2].call_id, output: "sunny" },
      { type: "function_call_output", call_id: output[3].call_id, output: "noon" }] });
    assert.equal(next.output_text, "You said: noon ");
  });
}

await check("errors have their class, status, param and code", async () => {
  const range = await errorOf(() => client.chat.completions.create({ model, messages, temperature: 9 }));
  assert.ok(range instanceof OpenAI.BadRequestError, String(range));
  assert.equal(range.param, "temperature");
  assert.equal(range.code, "decimal_above_max_value");
  const empty = await errorOf(() => client.chat.completions.create({ model, messages: [] }));
  assert.equal(empty.param, "messages");
  const image = await errorOf(() => client.chat.completions.create({ model, messages: [
    { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AA==" } }] }] }));
  assert.equal(image.status, 400);
  const unknown = await errorOf(() => client.chat.completions.create({ model: "no-such-model-here", messages }));
  assert.ok(unknown instanceof OpenAI.NotFoundError, String(unknown));
  assert.equal(unknown.code, "model_not_found");
  const inStream = await errorOf(async () => {
    for await (const _ of await client.chat.completions.create({ model, messages: [], stream: true }));
  });
  assert.equal(inStream.status, 400);
  assert.ok((await errorOf(() => client.get("/nothing"))) instanceof OpenAI.NotFoundError);
});

await check("a client that leaves a stream early", async () => {
  const stream = await client.chat.completions.create({ model, messages, stream: true });
  for await (const _ of stream) break;
  assert.ok(stream.controller.signal.aborted);
  const again = await client.chat.completions.create({ model, messages, max_completion_tokens: 4 });
  assert.ok(again.choices.length === 1);
});

await check("20 streams at once", async () => {
  const texts = await Promise.all(Array.from({ length: 20 }, async () => {
    let text = "";
    const stream = await client.chat.completions.create(
      { model, messages, stream: true, max_completion_tokens: 8 });
    for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? "";
    return text;
  }));
  assert.ok(texts.every((text) => text.length > 0));
});

finish();
