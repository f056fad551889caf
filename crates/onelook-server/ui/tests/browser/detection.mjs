// Images in, boxes out; thresholds without another question to the server.

import { readFileSync } from "node:fs";

import { boxes, drop, paste, requests, settle, shown, slide } from "./actions.mjs";

const SETTINGS = [[0.25, 0.7], [0.5, 0.7], [0.06, 0.7], [0.1, 0.3], [0.25, 0.95], [0.1, 0.1]];

export async function detection(suite) {
  const page = await suite.open("/", { permissions: ["clipboard-read", "clipboard-write"] });
  const asked = requests(page, "/v1/detect");
  await suite.shot(page, "01-first");
  await drop(page, suite.bus);
  await boxes(page, 5);
  suite.check("bus.jpg dropped: 5 boxes", true);
  suite.equal("the table has a row per box", await page.locator("#rows tr").count(), 5);
  suite.equal("one request was sent", asked.length, 1);
  await settle(page);
  await suite.shot(page, "02-bus");
  await sameAsServer(suite, page, asked);
  await viewerAndTable(suite, page);
  await classFilter(suite, page);
  await takeAway(suite, page);
  await moreImages(suite, page, asked);
  await badImage(suite);
  await page.context().close();
}

async function sameAsServer(suite, page, asked) {
  const before = asked.length;
  await slide(page, "conf", 0.7);
  const fewer = await page.locator("#rows tr").count();
  suite.check("confidence 0.70: fewer boxes", fewer === 4, `${fewer}`);
  suite.equal("the value stands beside the slider", await page.textContent("#conf-value"), "0.70");
  await suite.shot(page, "03-slider");
  await page.click("#reset");
  for (const [conf, iou] of SETTINGS) {
    await slide(page, "conf", conf);
    await slide(page, "iou", iou);
    const here = (await shown(page)).detections;
    const there = await server(suite, { conf, iou });
    const same = here.length === there.length && here.every((found, index) => near(found, there[index]));
    suite.check(`conf ${conf}, iou ${iou}: the same boxes as the server's own`, same, `${here.length} and ${there.length}`);
  }
  await page.check("#agnostic");
  const here = (await shown(page)).detections;
  const there = await server(suite, { conf: 0.1, iou: 0.1, agnostic_nms: true });
  suite.equal("across classes: as many as the server's own", here.length, there.length);
  await page.click("#reset");
  await settle(page);
  suite.equal("moving thresholds sent no request", asked.length, before);
  suite.equal("reset brings back 5 boxes", await page.locator("#rows tr").count(), 5);
}

async function server(suite, parameters) {
  const query = new URLSearchParams(Object.entries(parameters).map(([key, value]) => [key, String(value)]));
  const response = await fetch(`${suite.url}/v1/detect?${query}`, {
    method: "POST",
    headers: { "Content-Type": "image/jpeg" },
    body: readFileSync(suite.bus),
  });
  return (await response.json()).images[0].detections;
}

function near(a, b) {
  const corners = ["x1", "y1", "x2", "y2"].every((side) => Math.abs(a.box[side] - b.box[side]) < 0.01);
  return a.class === b.class && Math.abs(a.confidence - b.confidence) < 1e-4 && corners;
}

async function viewerAndTable(suite, page) {
  const size = await page.$eval("#canvas", (canvas) => [canvas.width / canvas.clientWidth, canvas.height / canvas.clientHeight]);
  suite.check("the canvas has the screen's pixels", size.every((ratio) => Math.abs(ratio - 1) < 0.01), size.join(" × "));
  const clean = await page.$eval("#canvas", (canvas) => canvas.toDataURL());
  await page.hover("#rows tr:nth-child(2)");
  await settle(page);
  suite.check("a row under the pointer brings out its box", clean !== (await page.$eval("#canvas", (canvas) => canvas.toDataURL())));
  const frame = await page.locator("#canvas").boundingBox();
  await page.mouse.move(frame.x + frame.width / 2, frame.y + frame.height / 2);
  await settle(page);
  suite.equal("a box under the pointer brings out its row", await page.locator("#rows tr.on").count(), 1);
  await page.click("#rows tr:nth-child(2) button");
  const zoomed = await page.textContent("#zoom-value");
  await settle(page);
  await suite.shot(page, "04-zoom");
  await page.click("#zoom-fit");
  suite.check("a row chosen zooms to its box", zoomed !== (await page.textContent("#zoom-value")), zoomed ?? "");
  await page.click("[data-column=class]");
  const names = await page.locator("#rows th").allTextContents();
  suite.equal("the table is sorted by class", names, [...names].sort());
  suite.equal("the sorting is told", await page.getAttribute("th.c-class", "aria-sort"), "ascending");
  await page.click("[data-column=confidence]");
}

async function classFilter(suite, page) {
  await page.click(".chip:has-text('bus')");
  suite.equal("the class filter leaves the bus", await page.locator("#rows th").allTextContents(), ["bus"]);
  suite.equal("the chip is pressed", await page.getAttribute(".chip:has-text('bus')", "aria-pressed"), "true");
  await page.click("#classes-all");
  suite.equal("all classes again", await page.locator("#rows tr").count(), 5);
}

async function takeAway(suite, page) {
  const [png] = await Promise.all([page.waitForEvent("download"), page.click("#save-png")]);
  const header = readFileSync(await png.path());
  suite.equal("the PNG is named for the image", png.suggestedFilename(), "bus-boxes.png");
  suite.equal("the PNG has the image's full size", [header.readUInt32BE(16), header.readUInt32BE(20)], [810, 1080]);
  const [jpeg] = await Promise.all([page.waitForEvent("download"), page.click("#save-jpeg")]);
  suite.equal("the JPEG is one", readFileSync(await jpeg.path()).subarray(0, 3).toString("hex"), "ffd8ff");
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#save-json")]);
  const record = JSON.parse(readFileSync(await file.path(), "utf8"));
  suite.equal("the JSON has the keys of predict --json", Object.keys(record), ["source", "width", "height", "task", "detections", "speed_ms"]);
  suite.equal("the JSON has what is shown", [record.source, record.width, record.height, record.detections.length], ["bus.jpg", 810, 1080, 5]);
  await page.click("#show-json");
  await page.click("#copy");
  await page.waitForFunction(() => document.getElementById("copy-text")?.textContent === "Copied");
  suite.equal("the copied JSON is the same", JSON.parse(await page.evaluate(() => navigator.clipboard.readText())), record);
  await suite.shot(page, "05-json");
  await page.click("#show-table");
}

async function moreImages(suite, page, asked) {
  await paste(page, suite.zidane);
  await page.waitForFunction(() => document.querySelectorAll(".thumb[data-state=done]").length === 2);
  suite.equal("a pasted image is one more request", asked.length, 2);
  suite.equal("zidane.jpg has boxes", (await shown(page)).source, "zidane.jpg");
  await page.click(".thumb >> nth=0");
  await boxes(page, 5);
  suite.equal("going back sends no request", asked.length, 2);
  const [file] = await Promise.all([page.waitForEvent("download"), page.click("#save-all")]);
  const lines = readFileSync(await file.path(), "utf8").trim().split("\n").map((line) => JSON.parse(line).source);
  suite.equal("all images as JSON lines", lines, ["bus.jpg", "zidane.jpg"]);
  await page.selectOption("#imgsz", "320");
  await page.waitForFunction(() => document.querySelectorAll(".thumb[data-state=done]").length === 2);
  suite.check("another size asks again, and says which", asked.length === 4 && asked.slice(2).every((url) => url.includes("imgsz=320")), `${asked.length}`);
  await page.hover(".thumbs li >> nth=1");
  await page.click(".thumb-remove >> nth=1");
  suite.equal("an image can be taken away", await page.locator(".thumb").count(), 1);
  await page.click(".thumb-remove >> nth=0");
  suite.check("without images the first screen is back", await page.isVisible("#welcome"));
  suite.equal("the keyboard is where to go on", await page.evaluate(() => document.activeElement?.id), "choose");
}

async function badImage(suite) {
  const page = await suite.open("/", {}, (line) => /\b4(15|22)\b/.test(line));
  await page.setInputFiles("#files", { name: "broken.jpg", mimeType: "image/jpeg", buffer: Buffer.from("no image at all") });
  await page.waitForSelector("#problem p");
  const told = (await page.textContent("#problem p")) ?? "";
  suite.check("a broken image is told in plain words", told.includes("The server says:"), told);
  suite.equal("the message is an alert", await page.getAttribute("#problem", "role"), "alert");
  await suite.shot(page, "06-problem");
  await drop(page, suite.bus);
  await boxes(page, 5);
  suite.equal("the next image works, and the message is gone", await page.textContent("#problem"), "");
  await page.context().close();
}
