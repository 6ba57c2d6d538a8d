// What the clients' scripts share: where the hub is, a package by its name, and a line per check.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

export const [baseUrl, model] = process.argv.slice(2);
export const prompt = process.env.PROMPT;
const require = createRequire(`${process.env.CLIENTS}/package.json`);

export async function load(name) {
  return import(pathToFileURL(require.resolve(name)).href);
}

let failures = 0;
export async function check(name, body) {
  try {
    await body();
    console.log(`ok    ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${name}\n      ${error.stack ?? error}`);
  }
}

// The error that `call` must end with.
export async function errorOf(call) {
  try {
    await call();
  } catch (error) {
    return error;
  }
  assert.fail("the call succeeded");
}

export function finish() {
  process.exit(failures > 0 ? 1 : 0);
}
