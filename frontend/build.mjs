// Builds the page's script and style sheet into the folder that is named, and the licences of what is in them.
import { build } from "esbuild";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
process.chdir(here);
const folder = resolve(process.argv[2] ?? "../apps/guests/static/guests");
mkdirSync(folder, { recursive: true });

const { metafile } = await build({
    absWorkingDir: here,
    entryPoints: ["src/capture.ts", "src/capture.css"],
    outdir: folder,
    bundle: true,
    minify: true,
    format: "iife",
    target: ["es2020"],
    legalComments: "none",
    metafile: true,
});

const names = new Set();
for (const input of Object.keys(metafile.inputs)) {
    const match = /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input);
    if (match) names.add(match[1]);
}
const parts = ["capture.js contains these packages, each under its own licence.\n"];
for (const name of [...names].sort()) {
    const of = join("node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(of, "package.json"), "utf8"));
    const file = readdirSync(of).find((each) => /^licen[cs]e/i.test(each));
    const text = file ? readFileSync(join(of, file), "utf8").trim() : `License: ${license}`;
    parts.push(`${name} ${version}\n\n${text}\n`);
}
writeFileSync(join(folder, "capture.licenses.txt"), parts.join("\n" + "-".repeat(80) + "\n\n"));
