// Two models side by side, on a server that has two.

import { boxes, drop, requests, settle } from "./actions.mjs";

export async function compare(suite) {
  const models = (await (await fetch(`${suite.url}/v1/models`)).json()).models;
  if (models.length < 2) return suite.check("a second model to compare with", false, "start the server with two models");
  const other = models[1].name;
  const page = await suite.open();
  const asked = requests(page, "/v1/detect");
  await drop(page, suite.bus);
  await boxes(page, 5);
  await page.selectOption("#other-model", other);
  await page.waitForFunction((name) => new RegExp(`^${name}: \\d+ box`).test(document.getElementById("other-title")?.textContent ?? ""), other, { timeout: 30_000 });
  suite.equal("one more request, to the other model", asked.map((url) => new URL(url).searchParams.get("model")), [models[0].name, other]);
  suite.equal("each pane names its model", await page.textContent("#pane-title"), `${models[0].name}: 5 boxes`);
  const widths = await page.$$eval("#canvas, #canvas-other", (list) => list.map((canvas) => canvas.clientWidth));
  suite.check("the panes have the same width", Math.abs(widths[0] - widths[1]) <= 1, widths.join(" "));
  await settle(page);
  await suite.shot(page, "29-compare");
  await page.click("#zoom-in");
  await page.click("#zoom-in");
  await settle(page);
  // Below the boxes the panes show the same pixels of the image.
  const strips = await page.$$eval("#canvas, #canvas-other", (list) => list.map((canvas) => [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height - 4, 1, 1).data].join(" ")));
  suite.equal("both panes show the same part", strips[0], strips[1]);
  await page.selectOption("#other-model", "");
  suite.check("without a second model the pane goes", await page.locator("#viewer-other").isHidden());
  await page.context().close();
  const phone = await suite.open("/", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true });
  await phone.setInputFiles("#files", suite.bus);
  await boxes(phone, 5);
  await phone.selectOption("#other-model", other);
  await phone.waitForFunction(() => /box/.test(document.getElementById("other-title")?.textContent ?? ""));
  const tops = await phone.$$eval("#canvas, #canvas-other", (list) => list.map((canvas) => canvas.getBoundingClientRect().top));
  suite.check("on a phone the panes are below each other", tops[1] > tops[0] + 100, tops.join(" "));
  await settle(phone);
  await phone.evaluate(() => scrollTo(0, 0));
  await suite.shot(phone, "30-phone-compare");
  await phone.context().close();
}
