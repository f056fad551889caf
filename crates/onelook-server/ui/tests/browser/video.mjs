// The Video page: a file is sent, run and played with its boxes; the timeline jumps; results are saved. Needs a video
// with people, and ffmpeg on the server.

import axe from "axe-core";
import { readFileSync } from "node:fs";

import { settle } from "./actions.mjs";

export async function video(suite) {
  if (!suite.video) {
    process.stdout.write("left out: video (no --video)\n");
    return;
  }
  const page = await suite.open("/#video", {}, (line) => /4\d\d/.test(line));
  await page.waitForSelector("#page-video:not([hidden])");
  suite.check("without a file there is nothing to run", await page.isDisabled("#video-run"));
  await page.setInputFiles("#video-file", { name: "notes.mp4", mimeType: "video/mp4", buffer: Buffer.from("no video at all") });
  await page.click("#video-run");
  await page.waitForFunction(() => document.querySelector("#video-problem p")?.textContent?.includes("MP4"));
  suite.check("what is no video is refused, and what would do is said", true, await page.textContent("#video-problem"));
  await page.setInputFiles("#video-file", suite.video);
  await page.waitForFunction(() => document.querySelector("#video-time")?.textContent?.match(/\/ 0:0*[1-9]|\/ 0:[1-9]|\/ [1-9]/));
  await page.click("#video-line");
  suite.check("it is said how to draw", await page.locator("#video-help").isVisible());
  const box = await page.locator("#video-view canvas").boundingBox();
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.02);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.5, box.y + box.height * 0.98, { steps: 5 });
  await page.mouse.up();
  await page.fill("#video-fps", "5");
  await page.click("#video-run");
  await page.waitForSelector("#video-progress-row:not([hidden])");
  suite.check("it can be cancelled while it runs", await page.locator("#video-cancel").isVisible());
  await page.waitForFunction(() => document.querySelector("#video-state")?.textContent?.startsWith("done"), null, { timeout: 240_000 });
  suite.check("it runs to its end", true, await page.textContent("#video-state"));
  const rows = await page.locator(".timeline-row").count();
  suite.check("the timeline has a row for what was seen", rows > 0 && (await page.locator(".timeline-row[data-row=person]").count()) === 1, `${rows}`);
  suite.check("the line counts", /\d/.test(await page.textContent("#video-counts .place-count")), await page.textContent("#video-counts"));
  await jumped(suite, page);
  await saved(suite, page);
  await suite.shot(page, "40-video", true);
  await page.click("[data-language=zh]");
  suite.check("in Chinese too", (await page.textContent("#video-state")).startsWith("完成"));
  await page.click("[data-language=en]");
  await accessible(suite, page, "wide");
  await page.setViewportSize({ width: 360, height: 740 });
  await page.waitForTimeout(300);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  suite.check("on a phone nothing is cut off at the side", wide <= 0, `${wide}`);
  await suite.shot(page, "41-video-phone", true);
  await accessible(suite, page, "phone");
  const { videos } = await (await fetch(`${suite.url}/v1/videos`)).json();
  suite.equal("the server keeps nothing of it", videos, []);
  await page.context().close();
}

async function jumped(suite, page) {
  const row = page.locator(".timeline-row[data-row=person] svg");
  const { width } = await row.boundingBox();
  await row.click({ position: { x: width / 2, y: 10 } });
  await page.waitForTimeout(500);
  const times = (await page.textContent("#video-time")).split(" / ").map((text) => text.split(":").reduce((sum, part) => sum * 60 + Number(part), 0));
  suite.check("a click on the timeline jumps there", Math.abs(times[0] / times[1] - 0.5) < 0.1, times.join(" of "));
  await page.click("#video-play");
  await page.waitForFunction((before) => Number(document.querySelector("#video-seek")?.value) > before + 0.2, times[0]);
  await page.click("#video-play");
  suite.check("it plays", true, await page.textContent("#video-time"));
}

async function saved(suite, page) {
  const text = async (id) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.click(id)]);
    return { name: download.suggestedFilename(), text: readFileSync(await download.path(), "utf8") };
  };
  const lines = await text("#video-jsonl");
  const parsed = lines.text.trim().split("\n").map((line) => JSON.parse(line));
  suite.check("JSON lines begin with the video and end with a summary", "video" in parsed[0] && "summary" in parsed.at(-1), lines.name);
  const objects = parsed.flatMap((line) => line.detections ?? []).length;
  const csv = await text("#video-csv");
  suite.equal("the CSV has a line for each object", csv.text.trim().split("\n").length - 1, objects);
  const mot = await text("#video-mot");
  suite.check("MOT has as many, ten columns each", mot.text.trim().split("\n").length === objects && mot.text.split("\n")[0].split(",").length === 10, mot.text.split("\n")[0]);
}

async function accessible(suite, page, name) {
  await settle(page);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, impact, nodes }) => `${impact} ${id} (${nodes.map(({ target }) => target.join(" ")).slice(0, 3).join("; ")})`);
  suite.check(`axe, video, ${name}: nothing`, violations.length === 0, told.join(", "));
}
