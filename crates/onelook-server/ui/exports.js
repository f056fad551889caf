// Exports: copies results to the clipboard, and saves images, boxes and archives as files. Everything
// is drawn in the browser at full size; only formats that the browser cannot show are asked for.

import { announce, get, save } from "./dom.js";
import { stem } from "./format.js";
import { coco, csv, yolo } from "./formats.js";
import { t } from "./i18n.js";
import { paintImage } from "./paint.js";
import { readable } from "./record.js";
import { distinct, zip } from "./zip.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {ReturnType<typeof import("./record.js").record>} Entry */
/**
 * @typedef {object} Source
 * @property {() => { name: string, image: CanvasImageSource | null, width: number, height: number, shown: Detection[], labels: boolean } | null} scene
 * @property {() => Entry | null} entry Of what is shown.
 * @property {() => Entry[]} entries Of all images.
 * @property {() => AsyncIterable<HTMLCanvasElement | null>} drawings Of all images, in the same order.
 * @property {() => readonly string[]} names Of the model's classes, if known.
 * @property {(text: string) => void} complain
 */

const COPIED_FOR_MS = 2000;
const JPEG_QUALITY = 0.92;

/** @param {Source} source */
export function startExports(source) {
  get("copy").addEventListener("click", () => void copy(source));
  get("save-png").addEventListener("click", () => saveImage(source, "image/png", "png"));
  get("save-jpeg").addEventListener("click", () => saveImage(source, "image/jpeg", "jpg"));
  get("save-json").addEventListener("click", () => {
    const entry = source.entry();
    if (entry) save(new Blob([`${readable(entry)}\n`], { type: "application/json" }), `${stem(entry.source)}.json`);
  });
  get("save-all").addEventListener("click", () => {
    const lines = source.entries().map((entry) => `${JSON.stringify(entry)}\n`);
    save(new Blob(lines, { type: "application/x-ndjson" }), "predictions.jsonl");
  });
  get("save-csv").addEventListener("click", () => save(new Blob([csv(source.entries())], { type: "text/csv" }), "predictions.csv"));
  get("save-coco").addEventListener("click", () => {
    save(new Blob([coco(source.entries(), source.names())], { type: "application/json" }), "coco.json");
  });
  get("save-yolo").addEventListener("click", () => saveLabels(source.entries()));
  get("save-zip").addEventListener("click", () => void saveDrawings(source));
}

/**
 * One label file, or an archive of them.
 * @param {readonly Entry[]} entries
 */
function saveLabels(entries) {
  const [first] = entries;
  if (!first) return;
  if (entries.length === 1) return save(new Blob([yolo(first)], { type: "text/plain" }), `${stem(first.source)}.txt`);
  const names = distinct(entries.map(({ source }) => `${stem(source)}.txt`));
  const files = entries.map((entry, place) => ({ name: `labels/${names[place]}`, bytes: new Uint8Array(new TextEncoder().encode(yolo(entry))) }));
  return save(zip(files), "labels.zip");
}

/**
 * An archive of all images with their boxes, one after the other: large images take much memory.
 * @param {Source} source
 */
async function saveDrawings(source) {
  const button = get("save-zip");
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  const names = distinct(source.entries().map((entry) => `${stem(entry.source)}.jpg`));
  const files = [];
  let place = 0;
  for await (const canvas of source.drawings()) {
    const name = names[place] ?? `${place}.jpg`;
    place += 1;
    const blob = canvas && (await new Promise((/** @type {(blob: Blob | null) => void} */ done) => canvas.toBlob(done, "image/jpeg", JPEG_QUALITY)));
    if (blob) files.push({ name, bytes: new Uint8Array(await blob.arrayBuffer()) });
    else source.complain(t("results.tooLarge"));
  }
  button.removeAttribute("aria-disabled");
  if (files.length > 0) save(zip(files), "images-with-boxes.zip");
}

/** @param {Source} source */
async function copy(source) {
  const entry = source.entry();
  if (!entry) return;
  try {
    await navigator.clipboard.writeText(readable(entry));
  } catch {
    getSelection()?.selectAllChildren(get("json"));
    source.complain(t("results.copyFailed"));
    return;
  }
  get("copy-text").textContent = t("results.copied");
  announce(t("results.copied"));
  setTimeout(() => {
    get("copy-text").textContent = t("results.copy");
  }, COPIED_FOR_MS);
}

/**
 * @param {Source} source
 * @param {string} type
 * @param {string} ending
 */
function saveImage(source, type, ending) {
  const scene = source.scene();
  if (!scene) return;
  const tooLarge = () => source.complain(t("results.tooLarge"));
  const canvas = paintImage(scene.image, scene.width, scene.height, scene.shown, scene.labels);
  if (!canvas) return tooLarge();
  const done = (/** @type {Blob | null} */ blob) =>
    blob ? save(blob, `${stem(scene.name)}-boxes.${ending}`) : tooLarge();
  canvas.toBlob(done, type, JPEG_QUALITY);
}
