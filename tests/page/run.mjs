// node tests/page/run.mjs HUB_URL: all tests of the page against a running hub with the models ember, tiny-a,
// tiny-b and tiny-c.
import {after} from "node:test";
import {browser} from "./browser.mjs";

after(() => browser.close());
await import("./weight.mjs");
await import("./chat.mjs");
await import("./models.mjs");
await import("./compare.mjs");
await import("./ledger.mjs");
