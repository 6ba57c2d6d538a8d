// node pack.mjs DIST PACK TABLE: the built page as the program embeds it.
//
// PACK is every file three times, one after the other: as it is, gzip, brotli (left out where they save
// nothing).  TABLE is the body of a C++ array: path, media type, entity tag, whether its name changes with its
// content, and where its forms lie in PACK.

import {createHash} from "node:crypto";
import {readFileSync, readdirSync, statSync, writeFileSync} from "node:fs";
import {extname, join, relative} from "node:path";
import {brotliCompressSync, constants, gzipSync} from "node:zlib";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
};

function filesBelow(folder) {
  return readdirSync(folder).sort().flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? filesBelow(path) : [path];
  });
}

const brotli = (bytes) => brotliCompressSync(bytes, {
  params: {[constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length},
});

const [dist, pack, table] = process.argv.slice(2);
const pieces = [];
const rows = [];
let offset = 0;

function place(bytes) {
  pieces.push(bytes);
  offset += bytes.length;
  return `{${offset - bytes.length}, ${bytes.length}}`;
}

for (const file of filesBelow(dist)) {
  const type = TYPES[extname(file)];
  if (!type) throw new Error(`${file}: no media type is known for it`);
  const bytes = readFileSync(file);
  const name = `/${relative(dist, file)}`;
  const forms = [bytes, gzipSync(bytes, {level: 9}), brotli(bytes)]
    .map((form, i) => (i && form.length >= bytes.length ? "{0, 0}" : place(form)));
  const tag = createHash("sha256").update(bytes).digest("hex").slice(0, 20);
  rows.push(`{"${name === "/index.html" ? "/" : name}", "${type}", "${tag}", ${name.startsWith("/assets/")}, ${forms.join(", ")}},`);
}
writeFileSync(pack, Buffer.concat(pieces));
writeFileSync(table, `${rows.join("\n")}\n`);
