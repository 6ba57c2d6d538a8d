// MCP's own conformance suite against a hub: what each revision requires of servers, at its own wire, and the
// scenarios of its transport that the frozen lists do not score yet.
//
// Usage: node mcp_conformance.mjs BASE_URL MODEL.  What Hearth does not do, with the reason, stands in
// mcp_expected.yaml; anything else that fails, and anything there that passes, fails this script.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { baseUrl, check, finish } from "./check.mjs";

const folder = join(process.env.CLIENTS, "node_modules/@modelcontextprotocol/conformance/dist");
const here = dirname(fileURLToPath(import.meta.url));

// Its last releases want fs.globSync of node 22, for a command that is not run here.
function program() {
  const original = join(folder, "index.js");
  if (Number(process.versions.node.split(".")[0]) >= 22) return original;
  const copy = join(folder, "index.older-node.mjs");
  writeFileSync(copy, readFileSync(original, "utf8").replace(/globSync as [\w$]+,/, ""));
  return copy;
}

const suite = program();
const runs = [
  { name: "what 2025-11-25 requires", list: "2025-11-25", args: ["--requirements", "2025-11-25"] },
  { name: "what 2026-07-28 requires", list: "2026-07-28", args: ["--requirements", "2026-07-28"] },
  { name: "headers of 2026-07-28", args: ["--scenario", "http-header-validation", "--spec-version", "2026-07-28"] },
  { name: "sessions of 2025-11-25", args: ["--scenario", "server-session-lifecycle", "--spec-version", "2025-11-25"] },
];

for (const { name, list, args } of runs) {
  await check(name, async () => {
    const results = mkdtempSync(join(tmpdir(), "hearth-conformance-"));
    try {
      const expected = list ? ["--expected-failures", join(here, `mcp_expected_${list}.yaml`)] : [];
      const done = spawnSync(process.execPath, [suite, "server", "--url", `${baseUrl}/mcp`, "--output-dir", results, ...args, ...expected],
        { encoding: "utf8", timeout: 120_000 });
      const text = `${done.stdout}${done.stderr}`;
      console.log(text.split("\n").filter((line) => /passed|failed|expected|Total|✓|✗|warning/i.test(line)).slice(-25).join("\n"));
      assert.equal(done.status, 0, text.slice(-6000));
    } finally {
      rmSync(results, { recursive: true, force: true });
    }
  });
}

finish();
