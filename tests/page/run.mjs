// node tests/page/run.mjs HUB_URL: all tests of the page against a running hub with the models ember, tiny-a,
// tiny-b and tiny-c, and a registry to pull from (registry.py).
import {after} from "node:test";
import {browser} from "./browser.mjs";

after(() => browser.close());
for (const file of (process.env.HEARTH_PAGE_ONLY ?? "weight chat history models compare ledger silicon views").split(" ")) await import(`./${file}.mjs`);
