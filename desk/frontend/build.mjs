// Builds the pages into a folder, `../web` by default: the same bytes from the same sources and lock file, anywhere.
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const MOST_BYTES = 100_000; // gzipped, all together
const here = dirname(fileURLToPath(import.meta.url));
const target = resolve(process.argv[2] ?? join(here, "..", "web"));

const { outputFiles } = await build({
  absWorkingDir: here,
  entryPoints: [{ in: "src/main.tsx", out: "app" }],
  outdir: "static",
  bundle: true,
  minify: true,
  format: "iife",
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
  write: false,
});

const version = (bytes) => createHash("sha256").update(bytes).digest("hex").slice(0, 12);
const files = new Map(outputFiles.map((file) => [file.path.split("/").pop(), file.contents]));
files.set("icon.svg", await readFile(join(here, "icon.svg")));
let page = await readFile(join(here, "index.html"), "utf8");
for (const [name, bytes] of files) page = page.replace(`/static/${name}`, `/static/${name}?v=${version(bytes)}`);

await rm(join(target, "static"), { recursive: true, force: true });
await mkdir(join(target, "static"), { recursive: true });
for (const [name, bytes] of files) await writeFile(join(target, "static", name), bytes);
await writeFile(join(target, "index.html"), page);

const sizes = [...files.values(), Buffer.from(page)].map((bytes) => gzipSync(bytes).length);
const total = sizes.reduce((sum, size) => sum + size, 0);
console.log(`${target}: ${total} bytes gzipped`);
if (total > MOST_BYTES) {
  console.error(`the pages take ${total} bytes gzipped, more than ${MOST_BYTES}; leave something out`);
  process.exit(1);
}
