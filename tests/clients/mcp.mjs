// The official MCP clients against a hub: @modelcontextprotocol/sdk (revisions with sessions) and
// @modelcontextprotocol/client (2026-07-28), over HTTP and, where HEARTH names the program, by `hearth mcp`.
//
// Usage: node mcp.mjs BASE_URL MODEL.  The clients validate what tools return against their schemas.
import assert from "node:assert/strict";
import { baseUrl, check, finish, load, model } from "./check.mjs";

const v1 = {
  ...(await load("@modelcontextprotocol/sdk/client/index.js")),
  ...(await load("@modelcontextprotocol/sdk/client/streamableHttp.js")),
  ...(await load("@modelcontextprotocol/sdk/client/stdio.js")),
};
const v2 = {
  ...(await load("@modelcontextprotocol/client")),
  ...(await load("@modelcontextprotocol/client/stdio")),
};
const info = { name: "hearth-test", version: "1" };
const key = process.env.HEARTH_API_KEY;
const program = process.env.HEARTH;

const http = ({ StreamableHTTPClientTransport: Transport }) =>
  new Transport(new URL(`${baseUrl}/mcp`), { requestInit: { headers: { authorization: `Bearer ${key}` } } });
const lines = ({ StdioClientTransport: Transport }, hub) =>
  new Transport({ command: program, args: ["mcp", "--hub", hub], env: { HOME: process.env.HOME, PATH: process.env.PATH, HEARTH_API_KEY: key } });

// A client, how it gets to the hub, and the revision that they must agree on.
const ways = [
  { name: "sdk over HTTP", make: () => new v1.Client(info), transport: () => http(v1), revision: "2025-11-25" },
  { name: "client over HTTP", make: () => new v2.Client(info, { versionNegotiation: { mode: "auto" } }), transport: () => http(v2), revision: "2026-07-28" },
];
if (program) {
  ways.push(
    { name: "sdk by hearth mcp, through the hub", make: () => new v1.Client(info), transport: () => lines(v1, baseUrl), revision: "2025-11-25" },
    { name: "client by hearth mcp, through the hub", make: () => new v2.Client(info, { versionNegotiation: { mode: "auto" } }), transport: () => lines(v2, baseUrl), revision: "2026-07-28" },
  );
  if (model !== "fake") {
    ways.push(
      { name: "sdk by hearth mcp alone", make: () => new v1.Client(info), transport: () => lines(v1, "local"), revision: "2025-11-25" },
      { name: "client by hearth mcp alone", make: () => new v2.Client(info, { versionNegotiation: { mode: "auto" } }), transport: () => lines(v2, "local"), revision: "2026-07-28" },
    );
  }
}

// The steps of an answer that is right in form.
async function askWithProgress(client) {
  const progress = [];
  const asked = await client.callTool(
    { name: "ask", arguments: { question: process.env.PROMPT, model, max_tokens: 24, temperature: 0 } },
    ...(client instanceof v1.Client ? [undefined] : []),
    { onprogress: (step) => progress.push(step) });
  assert.ok(!asked.isError, asked.content[0].text);
  assert.ok(asked.structuredContent.answer.length > 0);
  assert.match(asked.structuredContent.receipt.id, /^r-/);
  assert.deepEqual(JSON.parse(asked.content[0].text), asked.structuredContent);
  return progress;
}

async function meet(client, transport, revision) {
  await client.connect(transport);
  const agreed = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? revision;
  assert.equal(agreed, revision);
  assert.equal(client.getServerVersion().name, "hearth");

  const { tools } = await client.listTools();
  assert.deepEqual(tools.map(({ name }) => name), ["ask", "compare", "list_kernels", "run_kernel", "search_ledger"]);
  assert.ok(tools.every(({ inputSchema, outputSchema, annotations }) => inputSchema.type === "object" && outputSchema && annotations.readOnlyHint));

  // The clients forget who wants progress as soon as they have read the result, and tell of progress a turn of the
  // event loop after they have read it: what comes to a busy machine in one piece with the result isn't told.
  let progress = [];
  for (let i = 0; i < 20 && progress.length === 0; i += 1) progress = await askWithProgress(client);
  assert.ok(progress.length > 0);
  progress.forEach((step, i) => assert.ok(i === 0 || step.progress > progress[i - 1].progress));

  const compared = await client.callTool({ name: "compare", arguments: { question: "Hi.", models: [model, "no-such-model-here"], max_tokens: 8 } });
  assert.equal(compared.structuredContent.answers.length, 2);
  assert.ok(compared.structuredContent.answers[0].answer.length > 0);
  assert.match(compared.structuredContent.answers[1].error, /no-such-model-here/);

  const wrong = await client.callTool({ name: "ask", arguments: { question: "Hi.", temperature: 9 } });
  assert.equal(wrong.isError, true);
  assert.match(wrong.content[0].text, /temperature/);
  await assert.rejects(() => client.callTool({ name: "nothing", arguments: {} }), /Unknown tool/);

  if (model !== "fake") {
    const { structuredContent: found } = await client.callTool({ name: "search_ledger", arguments: { limit: 5 } });
    assert.ok(found.receipts.length > 0);
    const { structuredContent: listed } = await client.callTool({ name: "list_kernels", arguments: {} });
    assert.ok(Array.isArray(listed.kernels));
  }

  // Given up at once: the client must not wait, and the next call must not suffer.
  const leaving = new AbortController();
  const left = client.callTool(
    { name: "ask", arguments: { question: model === "fake" ? "hold" : "Tell a long story.", model } },
    ...(client instanceof v1.Client ? [undefined] : []),
    { signal: leaving.signal });
  leaving.abort();
  await assert.rejects(() => left);
  const after = await client.callTool({ name: "ask", arguments: { question: "Hi.", model, max_tokens: 4 } });
  assert.ok(!after.isError);
}

for (const { name, make, transport, revision } of ways) {
  await check(name, async () => {
    const client = make();
    try {
      await meet(client, transport(), revision);
    } finally {
      await client.close();
    }
  });
}

finish();
