// Boxes and labels: all boxes below all labels, labels that avoid each other, none without its box;
// and a table that shows its numbers whole.

import { readFileSync } from "node:fs";

import { boxes, drop, settle } from "./actions.mjs";

/** Answers every detection with these boxes. */
async function fake(page, width, height, detections) {
  await page.route("**/v1/detect?*", (route) =>
    route.fulfill({
      contentType: "application/json",
      body: JSON.stringify({ model: "fake", request_id: "x", images: [{ name: "image", width, height, detections, speed_ms: {} }] }),
    }),
  );
}

export async function labels(suite) {
  await noGhosts(suite);
  await crowded(suite);
  await wholeNumbers(suite);
}

async function noGhosts(suite) {
  const page = await suite.open();
  await drop(page, suite.bus);
  await boxes(page, 5);
  await page.focus("#canvas");
  for (let press = 0; press < 12; press += 1) await page.keyboard.press("+");
  for (let press = 0; press < 130; press += 1) await page.keyboard.press("ArrowUp");
  for (let press = 0; press < 130; press += 1) await page.keyboard.press("ArrowLeft");
  await page.mouse.move(5, 5);
  await settle(page);
  const pixels = () => page.$eval("#canvas", (canvas) => canvas.toDataURL());
  const withLabels = await pixels();
  await suite.shot(page, "24-corner");
  await page.click("#labels");
  await settle(page);
  suite.check("zoomed to a corner without boxes there is no label", withLabels === (await pixels()));
  await page.context().close();
}

async function crowded(suite) {
  const page = await suite.open();
  const many = Array.from({ length: 12 }, (_, number) => ({
    name: `class ${number}`,
    class: number,
    confidence: 0.9 - number / 100,
    box: { x1: 200 + number, y1: 300 + number, x2: 600 + number, y2: 700 + number },
  }));
  await fake(page, 810, 1080, many);
  await drop(page, suite.bus);
  await boxes(page, 12);
  await settle(page);
  await suite.shot(page, "25-crowded");
  const [png] = await Promise.all([page.waitForEvent("download"), page.click("#save-png")]);
  const free = await page.evaluate(async (bytes) => {
    const { classRgb } = await import("/ui/colour.js");
    const image = await createImageBitmap(new Blob([Uint8Array.from(bytes)], { type: "image/png" }));
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, image.width, image.height);
    return Array.from({ length: 12 }, (_, number) => {
      const [red, green, blue] = classRgb(number);
      let longest = 0;
      for (let y = 0; y < image.height; y += 1) {
        let run = 0;
        for (let x = 0; x < image.width; x += 1) {
          const at = (y * image.width + x) * 4;
          const same = data[at] === red && data[at + 1] === green && data[at + 2] === blue;
          run = same ? run + 1 : 0;
          // A row above the letters of a label is unbroken; rows of a box's line are few.
          if (run === 60) longest += 1;
        }
      }
      return longest;
    });
  }, [...readFileSync(await png.path())]);
  suite.check("in the saved image every label is whole, above all boxes", free.every((rows) => rows >= 4), free.join(" "));
  await page.context().close();
}

async function wholeNumbers(suite) {
  const sizes = [1440, 1000, 360].flatMap((width) => [[width, 10], [width, 1]]);
  for (const [width, scale] of sizes) {
    const page = await suite.open("/", { viewport: { width, height: 800 } });
    const name = "refrigerator of a class with a long name";
    const box = { x1: 1234 * scale, y1: 2345 * scale, x2: 5432 * scale, y2: 4567 * scale };
    await fake(page, 6000 * scale, 5000 * scale, [{ name, class: 1, confidence: 0.87, box }]);
    await drop(page, suite.bus);
    await boxes(page, 1);
    const cut = await page.$eval("#table-frame", (frame) => {
      const outside = frame.scrollWidth > frame.clientWidth ? [`${frame.scrollWidth} of ${frame.clientWidth}`] : [];
      const cells = [...frame.querySelectorAll("td, thead th")].filter((cell) => cell.scrollWidth > cell.clientWidth);
      return [...outside, ...cells.map((cell) => cell.textContent)];
    });
    suite.equal(`${width} px wide: the table cuts no number of an image of ${6000 * scale} px`, cut, []);
    await page.locator("#table-frame").scrollIntoViewIfNeeded();
    await suite.shot(page, `26-numbers-${width}-${scale}`);
    await page.context().close();
  }
}
