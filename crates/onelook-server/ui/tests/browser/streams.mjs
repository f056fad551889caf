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
  await entered(suite, page);
  await kept(suite, page);
  await suite.shot(page, "32-streams-counted", true);
  await page.click("[data-language=zh]");
  suite.check("in Chinese too", /进 \d+ · 出 \d+/.test(await page.textContent("[data-stream=gate] [data-place='line 1'] .place-count")));
  await suite.shot(page, "33-streams-chinese");
  await page.click("[data-language=en]");
}

/** Those first seen inside of a zone are told apart from those who entered: on the page, in counts and in events. */
async function entered(suite, page) {
  const at = `${suite.url}/v1/streams/gate`;
  const events = async () => (await (await fetch(`${at}/events?kind=entered&limit=1000`)).json()).events;
  // Counts of before and after the events are asked for: those that were listed lie between.
  const before = (await (await fetch(at)).json()).counts.zones[0];
  const listed = await events();
  const after = (await (await fetch(at)).json()).counts.zones[0];
  for (const [key, born] of [["entered", false], ["born_inside", true]]) {
    const told = listed.filter((event) => event.place === "zone 1" && event.born_inside === born).length;
    suite.check(`events and counts agree: ${key}`, before[key] <= told && told <= after[key], `${before[key]} to ${after[key]}, ${told} events`);
  }
  await page.waitForFunction(async ([url, label]) => {
    const zone = (await (await fetch(url)).json()).counts.zones[0];
    const text = document.querySelector("[data-stream=gate] [data-place='zone 1'] .place-count")?.textContent ?? "";
    return text.includes(`· ${zone.entered} entered`) && (zone.born_inside === 0 || text.includes(`${zone.born_inside} ${label}`));
  }, [at, "first seen inside"]);
  suite.check("the page says what the counts say", true);
}

/** Frames of events, counts over time, crowds, speeds and heatmaps. */
async function kept(suite, page) {
  await page.waitForSelector("#stream-event-rows .shot canvas");
  await page.locator("#stream-event-rows .shot").first().click();
  await page.waitForSelector("dialog.large[open] img");
  const loaded = await page.$eval("dialog.large img", async (image) => {
    await image.decode();
    return image.naturalWidth;
  });
  suite.check("an event has its frame", loaded > 100, `${loaded}`);
  await suite.shot(page, "35-event");
  await page.click("dialog.large button");
  await page.selectOption("#stream-events-kind", "crossed");
  await page.waitForFunction(() => {
    const rows = [...document.querySelectorAll("#stream-event-rows tr")];
    return rows.length > 0 && rows.every((row) => row.textContent?.includes("crossed"));
  });
  suite.check("events are shown by kind", true, `${await page.locator("#stream-event-rows tr").count()}`);
  await page.selectOption("#stream-events-kind", "");
  await page.waitForSelector("#counts-charts [data-chart='line 1']");
  suite.equal("there is a chart for each place", await page.locator("#counts-charts .chart").count(), 2);
  await page.waitForFunction(() => /[1-9]/.test(document.querySelector("#counts-charts [data-chart='line 1'] .big")?.textContent ?? ""));
  await page.click("#counts-details summary");
  suite.check("the same is there as a table", (await page.locator("#counts-rows tr").count()) >= 2, await page.textContent("#counts-rows tr"));
  const plot = await page.locator("#counts-charts [data-chart='zone 1'] svg").boundingBox();
  await page.mouse.move(plot.x + plot.width - 2, plot.y + 40);
  suite.check("the values under the pointer are shown", await page.locator("#counts-charts [data-chart='zone 1'] .tip").isVisible());
  await page.selectOption("#counts-range", "month");
  await page.waitForFunction(() => document.querySelector("#counts-charts .chart-note")?.textContent?.includes("hour"));
  await page.selectOption("#counts-range", "hour");
  await page.fill("[data-stream=gate] .place-crowd", "1");
  await page.keyboard.press("Enter");
  await page.waitForFunction(async () => (await (await fetch("/v1/streams/gate")).json()).zones[0].crowd === 1);
  suite.check("how many make a crowd is set at the zone", true);
  await page.click("[data-stream=gate] .stream-more summary");
  await page.click("[data-stream=gate] [data-draw=plane]");
  await page.$eval("[data-stream=gate] canvas", (canvas) => canvas.scrollIntoView({ block: "center", behavior: "instant" }));
  const view = await page.locator("[data-stream=gate] canvas").boundingBox();
  for (const [x, y] of [[0.1, 0.95], [0.9, 0.95], [0.7, 0.4], [0.3, 0.4]]) await page.mouse.click(view.x + x * view.width, view.y + y * view.height);
  await page.fill("#plane-width", "6");
  await page.fill("#plane-depth", "12");
  await page.keyboard.press("Enter");
  await page.waitForFunction(async () => (await (await fetch("/v1/streams/gate")).json()).plane?.metres[2][1] === 12);
  suite.check("the ground is drawn with its measures", true);
  await page.check("[data-stream=gate] .stream-more input[type=checkbox]");
  await page.click("[data-stream=gate] [data-heatmap]");
  await page.waitForSelector("dialog.large[open] img");
  await page.waitForTimeout(500);
  await suite.shot(page, "36-heatmap");
  await page.click("dialog.large button");
  suite.check("where objects stay is shown", true);
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
