// What can be taken away: tables, labels, COCO, archives; the sample, other formats, the next image.

import { readFileSync } from "node:fs";

import { boxes, requests, settle } from "./actions.mjs";

/** A TIFF of one colour, which no Chromium shows. */
function tiff(width, height, [red, green, blue]) {
  const pixels = Buffer.alloc(width * height * 3);
  for (let at = 0; at < pixels.length; at += 3) pixels.set([red, green, blue], at);
  const tags = [[256, 3, 1, width], [257, 3, 1, height], [258, 3, 3, 8 + 2 + 9 * 12 + 4], [259, 3, 1, 1], [262, 3, 1, 2], [273, 4, 1, 8 + 2 + 9 * 12 + 4 + 6], [277, 3, 1, 3], [278, 3, 1, height], [279, 4, 1, pixels.length]];
  const head = Buffer.alloc(8 + 2 + 9 * 12 + 4 + 6);
  head.write("II*\0", "latin1");
  head.writeUInt32LE(8, 4);
  head.writeUInt16LE(tags.length, 8);
  tags.forEach(([tag, type, count, value], index) => {
    const at = 10 + index * 12;
    head.writeUInt16LE(tag, at);
    head.writeUInt16LE(type, at + 2);
    head.writeUInt32LE(count, at + 4);
    if (type === 3 && count === 1) head.writeUInt16LE(value, at + 8);
    else head.writeUInt32LE(value, at + 8);
  });
  for (let channel = 0; channel < 3; channel += 1) head.writeUInt16LE(8, head.length - 6 + channel * 2);
  return Buffer.concat([head, pixels]);
}

async function download(page, id) {
  const [file] = await Promise.all([page.waitForEvent("download"), page.click(`#${id}`)]);
  return { name: file.suggestedFilename(), bytes: readFileSync(await file.path()) };
}

/** The names in an archive, and what its files begin with. */
function unzipped(bytes) {
  const files = [];
  for (let at = 0; bytes.readUInt32LE(at) === 0x04034b50; ) {
    const [size, name] = [bytes.readUInt32LE(at + 18), bytes.readUInt16LE(at + 26)];
    const start = at + 30 + name;
    files.push([bytes.toString("utf8", at + 30, start), bytes.subarray(start, start + size)]);
    at = start + size;
  }
  return files;
}

export async function exports(suite) {
  await files(suite);
  await sample(suite);
  await otherFormat(suite);
  await steps(suite);
}

async function files(suite) {
  const page = await suite.open();
  await page.setInputFiles("#files", suite.bus);
  await boxes(page, 5);
  const label = await download(page, "save-yolo");
  const lines = label.bytes.toString().trim().split("\n").map((line) => line.split(" ").map(Number));
  suite.equal("one image gives one label file", [label.name, lines.length, lines.every((line) => line.length === 5 && line.slice(1).every((part) => part >= 0 && part <= 1))], ["bus.txt", 5, true]);
  await page.setInputFiles("#files", [suite.zidane, suite.bus]);
  await page.waitForFunction(() => document.querySelectorAll(".thumb[data-state=done]").length === 3);
  const counts = await page.locator(".thumb-count").allTextContents();
  suite.equal("every thumbnail has its count", counts.length, 3);
  suite.equal("every thumbnail has its name", await page.locator(".thumb-name").allTextContents(), ["bus.jpg", "zidane.jpg", "bus.jpg"]);
  const total = counts.reduce((sum, count) => sum + Number(count), 0);
  const table = await download(page, "save-csv");
  const rows = table.bytes.toString().trim().split("\n");
  suite.equal("the table has a row per box of all images", [table.name, rows[0], rows.length - 1], ["predictions.csv", "source,class,name,confidence,x1,y1,x2,y2", total]);
  const coco = await download(page, "save-coco");
  const { images, annotations, categories } = JSON.parse(coco.bytes.toString());
  suite.equal("COCO has all images, boxes and classes", [images.length, annotations.length, categories.length], [3, total, 80]);
  suite.check("a category is the class's number", categories[annotations[0].category_id].id === annotations[0].category_id && categories[5].name === "bus");
  const labels = await download(page, "save-yolo");
  suite.equal("several images give an archive of label files", unzipped(labels.bytes).map(([name]) => name), ["labels/bus.txt", "labels/zidane.txt", "labels/bus-2.txt"]);
  const archive = unzipped((await download(page, "save-zip")).bytes);
  suite.equal("the archive has every image", archive.map(([name]) => name), ["bus.jpg", "zidane.jpg", "bus-2.jpg"]);
  suite.check("they are JPEG", archive.every(([, bytes]) => bytes.subarray(0, 3).toString("hex") === "ffd8ff"));
  suite.check("with boxes", !archive[0][1].equals(readFileSync(suite.bus)));
  suite.equal("the results name the image", await page.textContent("#results-name"), "zidane.jpg, 1280 × 720");
  await page.context().close();
}

async function sample(suite) {
  const page = await suite.open();
  await page.click("#sample");
  await page.waitForFunction(() => document.querySelectorAll(".thumb[data-state=done]").length === 1, null, { timeout: 30_000 });
  const found = await page.locator("#rows th").allTextContents();
  suite.check("the sample image has boxes", found.includes("cup"), found.join(", "));
  await settle(page);
  await suite.shot(page, "27-sample");
  await page.context().close();
}

async function otherFormat(suite) {
  const page = await suite.open();
  await page.setInputFiles("#files", { name: "green.tif", mimeType: "image/tiff", buffer: tiff(64, 48, [20, 200, 40]) });
  await page.waitForFunction(() => document.querySelectorAll(".thumb[data-state=done]").length === 1, null, { timeout: 30_000 });
  await page.waitForFunction(() => document.querySelector(".thumb img")?.naturalWidth === 64, null, { timeout: 10_000 });
  await settle(page);
  const centre = await page.$eval("#canvas", (canvas) => [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data]);
  suite.check("a TIFF is shown by way of the server", Math.abs(centre[0] - 20) < 12 && Math.abs(centre[1] - 200) < 12 && Math.abs(centre[2] - 40) < 12, centre.join(" "));
  suite.equal("without a complaint", await page.textContent("#problem"), "");
  await suite.shot(page, "28-tiff");
  await page.context().close();
}

async function steps(suite) {
  const page = await suite.open();
  await page.setInputFiles("#files", [suite.bus, suite.zidane]);
  await page.waitForFunction(() => document.querySelectorAll(".thumb[data-state=done]").length === 2, null, { timeout: 30_000 });
  const asked = requests(page, "/v1/detect");
  const current = () => page.textContent("#results-name");
  const go = async (place, key, wanted) => {
    if (place === "body") await page.evaluate(() => /** @type {HTMLElement} */ (document.activeElement)?.blur());
    else await page.focus(place);
    await page.keyboard.press(key);
    await page.waitForFunction((name) => document.getElementById("results-name")?.textContent?.startsWith(name), wanted, { timeout: 5000 }).catch(() => {});
    suite.check(`${key} on ${place}: ${wanted}`, ((await current()) ?? "").startsWith(wanted), (await current()) ?? "");
  };
  await go("#canvas", "ArrowRight", "zidane.jpg");
  await go("#canvas", "p", "bus.jpg");
  await go("#canvas", "PageDown", "zidane.jpg");
  await go("body", "ArrowLeft", "bus.jpg");
  await go(".thumb[aria-current]", "ArrowRight", "zidane.jpg");
  suite.equal("the keyboard goes with the thumbnail", await page.evaluate(() => document.activeElement?.getAttribute("aria-current")), "true");
  await page.click("#previous");
  await page.waitForFunction(() => document.getElementById("step-place")?.textContent === "1 / 2");
  suite.check("a button too, which tells the place", true);
  suite.equal("going through images sends no request", asked.length, 0);
  await page.context().close();
}
