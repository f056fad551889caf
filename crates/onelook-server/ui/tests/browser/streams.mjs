// The Streams page with real streams: added, watched, a line and a zone drawn with the mouse, counts that
// rise, one that fails beside one that runs. Needs an RTSP server with people who walk from side to side.

import axe from "axe-core";

import { requests, settle } from "./actions.mjs";

export async function streams(suite) {
  if (!suite.rtsp) {
    process.stdout.write("left out: streams (no --rtsp)\n");
    return;
  }
  const names = ["gate", "yard"];
  for (const name of [...names, "gone"]) await fetch(`${suite.url}/v1/streams/${name}`, { method: "DELETE" });
  const page = await suite.open("/#streams", {}, (line) => /40[03]/.test(line));
  await page.waitForSelector("#wall .empty");
  await suite.shot(page, "30-streams-empty");
  await refused(suite, page);
  for (const name of names) await add(page, `${suite.rtsp}/${name}`, name);
  await add(page, `${suite.rtsp}/nowhere`, "gone");
  for (const name of names) await state(page, name, "running");
  await state(page, "gone", "refused");
  suite.check("one that fails harms no other", await page.locator("[data-stream=gone] .bad").isVisible());
  suite.check("its address is told without the password", !(await page.content()).includes("s3cret"));
  await drawLine(suite, page);
  await drawZone(suite, page);
  await suite.shot(page, "31-streams", true);
  await counted(suite, page);
  await onlyInSight(suite, page);
  await accessible(suite, page, "wide");
  await remove(suite, page);
  await page.context().close();
  await narrow(suite);
  for (const name of [...names, "gone"]) await fetch(`${suite.url}/v1/streams/${name}`, { method: "DELETE" });
}

async function add(page, url, name) {
  await page.fill("#stream-url", url);
  await page.fill("#stream-name", name);
  await page.click("#stream-form button[type=submit]");
  await page.waitForSelector(`[data-stream=${name}]`);
}

async function state(page, name, wanted) {
  await page.waitForSelector(`[data-stream=${name}] .badge[data-state=${wanted}]`, { timeout: 30_000 });
}

async function refused(suite, page) {
  await page.fill("#stream-url", "rtsp://me:s3cret@elsewhere.example/1");
  await page.fill("#stream-name", "bad");
  await page.click("#stream-form button[type=submit]");
  await page.waitForSelector("#streams-problem p");
  const text = await page.textContent("#streams-problem");
  suite.check("a host that is not allowed is refused, and how to allow it is said", text.includes("--allow-stream-host") && !text.includes("s3cret"), text);
}

/** Whether the canvas of a stream shows an image: not one colour. */
async function isPainted(page, name) {
  return page.$eval(`[data-stream=${name}] canvas`, (canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const seen = new Set();
    for (let index = 0; index < data.length; index += 4000) seen.add(data[index]);
    return seen.size > 8;
  });
}

async function drag(page, name, from, to) {
  const box = await page.locator(`[data-stream=${name}] canvas`).boundingBox();
  const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
  await page.mouse.move(...at(from));
  await page.mouse.down();
  await page.mouse.move(...at(to), { steps: 5 });
  await page.mouse.up();
}

async function drawLine(suite, page) {
  await page.waitForFunction(() => document.querySelector("[data-stream=gate] .stream-facts")?.textContent?.includes("×"));
  await page.locator("[data-stream=gate]").scrollIntoViewIfNeeded();
  let painted = false;
  for (let look = 0; look < 100 && !painted; look += 1) {
    painted = await isPainted(page, "gate");
    await page.waitForTimeout(100);
  }
  suite.check("the stream is shown live", painted);
  await page.click("[data-stream=gate] [data-draw=line]");
  suite.check("it is said how to draw", await page.locator("[data-stream=gate] .stream-help").isVisible());
  await drag(page, "gate", [0.45, 0.02], [0.45, 0.98]);
  await page.waitForSelector("[data-stream=gate] [data-place='line 1']");
  const { lines } = await (await fetch(`${suite.url}/v1/streams/gate`)).json();
  suite.check("the line is where it was drawn", Math.abs(lines[0].start[0] - 0.45) < 0.01 && lines[0].end[1] > 0.9, JSON.stringify(lines));
}

async function drawZone(suite, page) {
  await page.click("[data-stream=gate] [data-draw=zone]");
  const box = await page.locator("[data-stream=gate] canvas").boundingBox();
  for (const [x, y] of [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]]) await page.mouse.click(box.x + x * box.width, box.y + y * box.height);
  await page.keyboard.press("Enter");
  await page.waitForSelector("[data-stream=gate] [data-place='zone 1']");
  const { zones, lines } = await (await fetch(`${suite.url}/v1/streams/gate`)).json();
  suite.equal("a zone has the corners that were clicked, and the line is left alone", [zones[0].corners.length, lines.length], [4, 1]);
  await page.click("[data-stream=gate] [data-draw=line]");
  await page.keyboard.press("Escape");
  suite.check("Escape ends drawing", await page.locator("[data-stream=gate] .stream-help").isHidden());
}

async function counted(suite, page) {
  const inside = () => page.textContent("[data-stream=gate] [data-place='zone 1'] .place-count");
  await page.waitForFunction(() => /^[1-9]/.test(document.querySelector("[data-stream=gate] [data-place='zone 1'] .place-count")?.textContent ?? ""), null, { timeout: 60_000 });
  suite.check("who is in the zone is counted", true, await inside());
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector("[data-stream=gate] [data-place='line 1'] .place-count")?.textContent ?? ""), null, { timeout: 90_000 });
  suite.check("who crosses the line is counted", true, await page.textContent("[data-stream=gate] [data-place='line 1'] .place-count"));
  await page.waitForFunction(() => document.querySelectorAll("#stream-event-rows tr").length > 1);
  suite.check("events are listed as they happen", true, `${await page.locator("#stream-event-rows tr").count()}`);
  await suite.shot(page, "32-streams-counted", true);
  await page.click("[data-language=zh]");
  suite.check("in Chinese too", /进 \d+ · 出 \d+/.test(await page.textContent("[data-stream=gate] [data-place='line 1'] .place-count")));
  await suite.shot(page, "33-streams-chinese");
  await page.click("[data-language=en]");
}

async function onlyInSight(suite, page) {
  const asked = requests(page, "/v1/streams");
  await page.click("a[data-page=models]");
  await settle(page);
  await page.waitForTimeout(1500);
  const before = asked.length;
  await page.waitForTimeout(2500);
  suite.equal("nothing is asked while the page is out of sight", asked.length, before);
  const metrics = await (await fetch(`${suite.url}/v1/streams`)).json();
  suite.check("the streams run all the same", metrics.streams.some(({ state }) => state === "running"));
  await page.click("a[data-page=streams]");
  await page.waitForSelector("[data-stream=gate] .badge[data-state=running]");
}

async function remove(suite, page) {
  await page.locator("[data-stream=gone] .stream-actions button").last().click();
  await page.click("#confirm-yes");
  await page.waitForSelector("[data-stream=gone]", { state: "detached" });
  suite.check("a stream is removed after a question", true);
  await page.locator("[data-stream=gate] [data-place='zone 1'] button").click();
  await page.waitForSelector("[data-stream=gate] [data-place='zone 1']", { state: "detached" });
  suite.check("a zone is removed, the line stays", await page.locator("[data-stream=gate] [data-place='line 1']").isVisible());
}

async function narrow(suite) {
  const page = await suite.open("/#streams", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: "dark" });
  await state(page, "gate", "running");
  await page.waitForTimeout(1500);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  suite.check("on a phone nothing is cut off at the side", wide <= 0, `${wide}`);
  await suite.shot(page, "34-streams-phone", true);
  await accessible(suite, page, "phone, dark");
  await page.context().close();
}

async function accessible(suite, page, name) {
  await settle(page);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, impact, nodes }) => `${impact} ${id} (${nodes.map(({ target }) => target.join(" ")).slice(0, 3).join("; ")})`);
  suite.check(`axe, streams, ${name}: nothing`, violations.length === 0, told.join(", "));
}
