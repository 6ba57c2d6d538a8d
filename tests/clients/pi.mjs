// pi against a hub: one text turn in print mode, its events as JSON lines.
//
// Usage: node pi.mjs BASE_URL MODEL.  Writes pi's provider file into $HOME, which the caller made for
// this run alone.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [baseUrl, model] = process.argv.slice(2);
const agentDir = join(process.env.HOME, ".pi", "agent");
const workDir = join(process.env.HOME, "work");
mkdirSync(agentDir, { recursive: true });
mkdirSync(workDir, { recursive: true });
writeFileSync(join(agentDir, "models.json"), JSON.stringify({
  providers: {
    hearth: {
      baseUrl: `${baseUrl}/v1`,
      api: "openai-completions",
      apiKey: process.env.HEARTH_API_KEY,
      models: [{ id: model, contextWindow: 8192, maxTokens: 256 }],
    },
  },
}));

// Runs pi on the prompt; returns its events.
function pi(...extra) {
  const run = spawnSync(join(process.env.CLIENTS, "node_modules/.bin/pi"),
    ["--provider", "hearth", "--model", model, "--mode", "json", "--no-session", "--offline", ...extra,
      "-p", process.env.PROMPT],
    { cwd: workDir, env: process.env, encoding: "utf8", timeout: 150_000, input: "" });
  const lines = run.stdout.split("\n").filter((line) => line.startsWith("{"));
  assert.equal(run.status, 0, `pi exited with ${run.status}: ${run.stderr}\n${run.stdout.slice(-2000)}`);
  return lines.map((line) => JSON.parse(line));
}

function checkTurn(name, events) {
  const ends = events.filter((e) => e.type === "message_end" && e.message.role === "assistant");
  assert.ok(ends.length > 0, `${name}: no assistant message in ${events.map((e) => e.type)}`);
  const message = ends.at(-1).message;
  assert.equal(message.errorMessage, undefined, `${name}: ${message.errorMessage}`);
  assert.match(message.stopReason, /^(stop|length)$/, name);
  const text = message.content.filter((c) => c.type === "text").map((c) => c.text).join("");
  assert.ok(text.length > 0, `${name}: empty text`);
  assert.ok(message.usage.input + message.usage.cacheRead > 0 && message.usage.output > 0,
    `${name}: usage ${JSON.stringify(message.usage)}`);
  const deltas = events.filter((e) => e.type === "message_update").length;
  assert.ok(deltas > 0, `${name}: nothing was streamed`);
  console.log(`ok    ${name}: ${JSON.stringify(text.slice(0, 60))}, usage ${message.usage.input}+` +
    `${message.usage.cacheRead} in, ${message.usage.output} out`);
}

try {
  checkTurn("a short turn", pi("--no-tools", "--system-prompt", "You are a helpful assistant."));
  // pi's own system prompt and tools, some 6 KB; PI_SHORT_ONLY leaves it out for a small context.
  if (!process.env.PI_SHORT_ONLY) checkTurn("a turn with tools offered", pi());
} catch (error) {
  console.log(`FAIL  ${error.message}`);
  process.exit(1);
}
