// The hub's OpenAPI document: valid as such (the specification's own schema), and true: requests that work and
// their answers are held against the shapes that it gives.
//
// Usage: node openapi.mjs BASE_URL MODEL
import assert from "node:assert/strict";
import { baseUrl, check, finish, load, model } from "./check.mjs";

const { Validator } = await load("@seriousme/openapi-schema-validator");
const { default: Ajv } = await load("ajv/dist/2020.js");

const headers = { "content-type": "application/json", authorization: `Bearer ${process.env.HEARTH_API_KEY}` };
const document = await (await fetch(`${baseUrl}/openapi.json`, { headers })).json();
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
ajv.addSchema(document, "document");

await check("the document is OpenAPI 3.1", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document));
  assert.ok(valid, JSON.stringify(errors));
  assert.equal(validator.version, "3.1");
});

function holds(name, value, what) {
  const validate = ajv.getSchema(`document#/components/schemas/${name}`);
  assert.ok(validate, `there is no schema ${name}`);
  if (validate(value)) return;
  assert.fail(`${what} is no ${name}: ${JSON.stringify(validate.errors.slice(0, 3))} in ${JSON.stringify(value).slice(0, 2000)}`);
}

const nameOf = (schema) => schema?.$ref?.split("/").pop();
const met = new Set();

// Calls an operation of the document and holds both bodies against it; the answer.
async function call(method, path, body, { status = 200, at = path } = {}) {
  const operation = document.paths[path]?.[method.toLowerCase()];
  assert.ok(operation, `${method} ${path} is not in the document`);
  const takes = nameOf(operation.requestBody?.content["application/json"].schema);
  if (body !== undefined && status < 400) holds(takes, body, `the request to ${path}`);
  const response = await fetch(`${baseUrl}${at}`, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await response.text();
  assert.equal(response.status, status, `${method} ${at}: ${text.slice(0, 500)}`);
  const described = operation.responses[status] ?? operation.responses.default;
  const type = response.headers.get("content-type")?.split(";")[0];
  if (described.content) assert.ok(described.content[type], `${method} ${path} answers with ${type}`);
  const gives = nameOf(described.content?.[type]?.schema);
  met.add(operation.operationId);
  if (!gives) return text;
  const answer = JSON.parse(text);
  holds(gives, answer, `the answer of ${path}`);
  return answer;
}

const messages = [{ role: "user", content: process.env.PROMPT }];
const tools = [{ type: "function", function: { name: "clock", description: "The clock.", parameters: { type: "object" } } }];

await check("what can be read", async () => {
  for (const path of ["/", "/health", "/metrics", "/openapi.json", "/v1/models", "/api/tags", "/api/ps", "/api/version", "/models", "/props",
    "/hearth/v1/memory", "/hearth/v1/consents"]) await call("GET", path);
  await call("GET", "/v1/models/{id}", undefined, { at: "/v1/models/auto" });
  await call("GET", "/v1/models/{id}", undefined, { at: "/v1/models/none-such", status: 404 });
});

await check("OpenAI's", async () => {
  await call("POST", "/v1/chat/completions", { model, messages, max_tokens: 8, temperature: 0, logprobs: true, top_logprobs: 1, stop: null });
  await call("POST", "/v1/chat/completions", { model, messages, max_tokens: 8, tools, n: 2 });
  await call("POST", "/v1/chat/completions", { model, messages, temperature: 9 }, { status: 400 });
  await call("POST", "/v1/completions", { model, prompt: "Once", max_tokens: 4, logprobs: 1 });
  await call("POST", "/v1/responses", { model, input: "Hello.", max_output_tokens: 8, store: false });
  await call("POST", "/v1/embeddings", { model: "none-such", input: "x" }, { status: model === "fake" ? 400 : 404 });
  for (const path of ["/v1/rerank", "/v1/reranking", "/rerank", "/reranking"]) {
    await call("POST", path, { model: "none-such", query: "x", documents: ["y"] }, { status: model === "fake" ? 400 : 404 });
  }
});

await check("Anthropic's", async () => {
  await call("POST", "/v1/messages", { model, max_tokens: 8, system: "Be brief.", messages });
  await call("POST", "/v1/messages/count_tokens", { model, messages });
  await call("POST", "/v1/messages", { model, messages }, { status: 400 });
});

await check("Ollama's", async () => {
  await call("POST", "/api/chat", { model, messages, stream: false, options: { num_predict: 8 } });
  await call("POST", "/api/generate", { model, prompt: "Hi.", stream: false, options: { num_predict: 8 } });
  const { models } = await call("GET", "/api/tags");
  await call("POST", "/api/show", { model: models[0].name });
  await call("POST", "/api/show", { model: "none-such" }, { status: 404 });
});

await check("llama.cpp's", async () => {
  const { data } = await call("GET", "/models");
  await call("POST", "/models/load", { model: data.find(({ id }) => id !== "auto" && id !== "local").id });
  if (model === "fake") return;
  const { tokens } = await call("POST", "/tokenize", { model, content: "Hello there." });
  await call("POST", "/detokenize", { model, tokens });
  await call("POST", "/apply-template", { model, messages });
});

await check("MCP's", async () => {
  await call("POST", "/mcp", { jsonrpc: "2.0", id: 1, method: "initialize", params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "t", version: "1" } } });
  await call("POST", "/mcp", { jsonrpc: "2.0", id: 1, method: "tools/list" }, { status: 400 });
  await call("DELETE", "/mcp", undefined, { status: 400 });
});

if (model !== "fake") {
  await check("Hearth's own", async () => {
    const { receipts } = await call("GET", "/hearth/v1/receipts", undefined, { at: "/hearth/v1/receipts?limit=5" });
    assert.ok(receipts.length > 0);
    await call("GET", "/hearth/v1/receipts/{id}", undefined, { at: `/hearth/v1/receipts/${receipts[0].id}` });
    await call("GET", "/hearth/v1/ledger");
    await call("POST", "/hearth/v1/ledger/verify");
    await call("POST", "/hearth/v1/policy/explain", { model, messages, provider: "acme" });
    await call("POST", "/hearth/v1/consents/{id}", { answer: "refuse" }, { at: "/hearth/v1/consents/none", status: 404 });
    await call("POST", "/hearth/v1/outcomes", { receipt: "r-none", outcome: "good" }, { status: 404 });
  });
  await check("kernels", async () => {
    const { kernels } = await call("GET", "/hearth/v1/kernels");
    const { name } = kernels.find(({ signature }) => signature.includes("n]"));
    await call("GET", "/hearth/v1/kernels/{name}", undefined, { at: `/hearth/v1/kernels/${name}` });
    await call("POST", "/hearth/v1/kernels/run", { name: "mul_f32", arrays: { in: [1.5, 2], weights: { shape: [2], data: [2, "NaN"] } }, roof: true });
    await call("POST", "/hearth/v1/kernels", { stream: false }, { status: 400 });
    await call("DELETE", "/hearth/v1/kernels/{name}", undefined, { at: `/hearth/v1/kernels/${name}`, status: 403 });
  });
  await check("the page's", async () => {
    for (const path of ["/hearth/v1/roofs", "/hearth/v1/recommendation", "/hearth/v1/conversations"]) await call("GET", path);
    const at = "/hearth/v1/conversations/a-1";
    await call("PUT", "/hearth/v1/conversations/{id}", { id: "a-1", title: "One", updated_at: 7, turns: [] }, { at });
    await call("GET", "/hearth/v1/conversations/{id}", undefined, { at });
    await call("DELETE", "/hearth/v1/conversations/{id}", undefined, { at });
    await call("POST", "/hearth/v1/pins", { model: "none-such", pinned: true }, { status: 404 });
  });
  await check("few operations were not called", async () => {
    const all = Object.values(document.paths).flatMap((path) => Object.values(path).map(({ operationId }) => operationId));
    const idle = all.filter((id) => !met.has(id));
    console.log(`      ${met.size} of ${all.length} operations were called; not: ${idle.join(", ")}`);
    assert.ok(met.size * 5 >= all.length * 4, idle.join(", "));
  });
}

finish();
