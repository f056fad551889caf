// Languages, colours, the other pages, small screens.

import { readFileSync } from "node:fs";

import { boxes, drop, requests, settle } from "./actions.mjs";

export async function pages(suite) {
  await languages(suite);
  await colours(suite);
  await monitor(suite);
  await models(suite);
  await docs(suite);
  await chineseDocs(suite);
  await phone(suite);
}

async function languages(suite) {
  const page = await suite.open();
  suite.equal("English first", await page.getAttribute("html", "lang"), "en");
  await drop(page, suite.bus);
  await boxes(page, 5);
  await page.click("[data-language=zh]");
  suite.equal("Chinese is told to readers of the page", await page.getAttribute("html", "lang"), "zh-Hans");
  suite.equal("the count is in Chinese", await page.textContent("#count"), "5 个框");
  const left = await page.$$eval("[data-i18n]", (list) => list.map((element) => element.textContent ?? "").filter((text) => /[a-z]{4}/.test(text)));
  suite.equal("no English is left", left.filter((text) => !/[\u4e00-\u9fff]/.test(text)), []);
  await suite.shot(page, "07-chinese");
  await page.reload();
  suite.equal("the language is remembered", await page.getAttribute("html", "lang"), "zh-Hans");
  await page.context().close();
  const chinese = await suite.open("/", { locale: "zh-CN" });
  suite.equal("a Chinese browser begins in Chinese", await chinese.textContent("#languages [aria-pressed=true]"), "中文");
  await chinese.context().close();
}

async function colours(suite) {
  const page = await suite.open("/", { colorScheme: "dark" });
  const ground = () => page.$eval("body", (body) => getComputedStyle(body).backgroundColor);
  const dark = await ground();
  await drop(page, suite.bus);
  await boxes(page, 5);
  await suite.shot(page, "08-dark");
  await page.click("[data-theme-choice=light]");
  const light = await ground();
  suite.check("dark follows the system, light can be chosen", dark !== light, `${dark}, ${light}`);
  await page.reload();
  suite.equal("the choice is remembered", await ground(), light);
  await page.click("[data-theme-choice=system]");
  suite.equal("the system's colours again", await ground(), dark);
  await page.context().close();
}

async function monitor(suite) {
  const page = await suite.open();
  const asked = requests(page, "/v1/status");
  await page.waitForFunction(() => document.getElementById("health")?.dataset.state === "ready");
  const before = asked.length;
  await page.waitForTimeout(1500);
  suite.equal("nothing is polled while the charts are out of sight", asked.length, before);
  await drop(page, suite.bus);
  await page.click("a[data-page=monitor]");
  await page.waitForTimeout(2200);
  await load(suite, page);
  const looks = asked.slice(before).filter((url) => new URL(url).pathname === "/v1/status").length;
  suite.check("a look about each second", looks >= 4 && looks <= 12, `${looks}`);
  const charts = await page.locator(".chart svg.plot").count();
  suite.check("charts of throughput, percentiles, stages, queue, CPU and memory", charts >= 6, `${charts}`);
  const labels = await page.$$eval("svg.plot", (list) => list.map((svg) => svg.getAttribute("aria-label") ?? ""));
  suite.check("each chart says its figures", labels.every((label) => /now, at most/.test(label)), labels[0]);
  const stages = await page.locator("svg.plot .area[class*=stage-]").count();
  suite.check("stages were drawn", stages > 0, `${stages}`);
  const memory = await page.textContent(".chart:nth-child(6) .big");
  suite.check("memory has a figure", /MiB|GiB/.test(memory ?? ""), memory ?? "");
  const frame = await page.locator("svg.plot").first().boundingBox();
  await page.mouse.move(frame.x + frame.width - 4, frame.y + 40);
  suite.check("the pointer shows the values there", await page.locator(".tip").first().isVisible());
  await suite.shot(page, "09-monitor", true);
  await history(suite, page);
  await page.click("a[data-page=models]");
  const gone = asked.length;
  await page.waitForTimeout(1500);
  suite.equal("polling stops on leaving", asked.length, gone);
  await page.context().close();
}

/** What the server keeps: charts after a reload, percentiles, errors and slow requests. */
async function history(suite, page) {
  await fetch(`${suite.url}/v1/detect`, { method: "POST", headers: { "Content-Type": "image/jpeg" }, body: "nonsense" });
  await page.waitForTimeout(1500);
  await page.reload();
  await page.waitForSelector(".chart svg.plot .area");
  const points = await page.$$eval(".chart:nth-child(1) .line", (lines) => lines.reduce((sum, line) => sum + (line.getAttribute("d") ?? "").split("L").length, 0));
  suite.check("after a reload the charts begin with the past", points >= 5, `${points} points`);
  const facts = await page.$$eval("#facts div", (list) => list.map((fact) => [fact.querySelector("dt")?.textContent, fact.querySelector("dd")?.textContent]));
  for (const name of ["p50", "p99"]) {
    const value = facts.find(([title]) => title?.startsWith(name))?.[1];
    suite.check(`${name} has a figure`, /\d ms|\d s/.test(value ?? ""), value ?? "");
  }
  suite.equal("the Monitor does not count itself", facts.find(([title]) => title === "Requests in flight")?.[1], "0");
  const errors = (await page.textContent("#errors")) ?? "";
  suite.check("the last error is listed, with its reason", errors.includes("POST /v1/detect") && errors.includes("415"), errors.slice(0, 120));
  const slow = (await page.textContent("#slow")) ?? "";
  suite.check("slow requests are listed", slow.includes("POST /v1/detect"), slow.slice(0, 80));
  suite.check("those of the Monitor are not", !`${errors}${slow}`.includes("/v1/status"));
  const frame = await page.locator("svg.plot").nth(1).boundingBox();
  await page.mouse.move(frame.x + frame.width - 12, frame.y + 40);
  const tip = (await page.locator(".tip:visible").first().textContent().catch(() => "")) ?? "";
  suite.check("the values of p50 and p99 under the pointer", tip.includes("p50") && tip.includes("p99"), tip);
  await suite.shot(page, "34-monitor-lists", true);
}

/** A few seconds of real work, so that the charts have something to show. */
async function load(suite, page) {
  const body = readFileSync(suite.bus);
  const until = Date.now() + 5000;
  const one = async () => {
    while (Date.now() < until) await fetch(`${suite.url}/v1/detect`, { method: "POST", headers: { "Content-Type": "image/jpeg" }, body });
  };
  await Promise.all([one(), one()]);
  await page.waitForTimeout(1200);
}

async function models(suite) {
  const page = await suite.open("/#models");
  const card = page.locator(".model").first();
  await card.waitFor();
  const name = await card.locator("h2").textContent();
  suite.equal("the first model is ready", await card.locator("[data-state]").getAttribute("data-state"), "ready");
  const text = (await card.locator("dl").first().textContent()) ?? "";
  for (const word of ["Task", "Classes", "Stride", "Device", "Why this device", "File", "Load time"]) {
    suite.check(`details: ${word}`, text.includes(word));
  }
  await card.locator("summary").first().click();
  suite.check("the names of the classes unfold", await card.locator(".names li", { hasText: "bus" }).first().isVisible());
  await suite.shot(page, "10-models", true);
  await card.getByRole("button", { name: `Unload ${name}` }).click();
  suite.check("unloading is asked about", await page.locator("#confirm").isVisible());
  await suite.shot(page, "11-confirm");
  await page.keyboard.press("Escape");
  suite.equal("Escape means no", await card.locator("[data-state]").getAttribute("data-state"), "ready");
  await act(suite, page, card, `Reload ${name}`, "Reload", "ready");
  await act(suite, page, card, `Unload ${name}`, "Unload", "unloaded");
  await suite.shot(page, "12-unloaded", true);
  await act(suite, page, card, `Load ${name}`, null, "ready");
  await page.context().close();
}

async function act(suite, page, card, label, yes, state) {
  await card.getByRole("button", { name: label, exact: true }).click();
  if (yes) await page.click("#confirm-yes");
  const badge = card.locator(`.badge[data-state=${state}]`);
  await page.waitForFunction(() => document.querySelectorAll(".model .spinner").length === 0, null, { timeout: 30_000 });
  await badge.waitFor({ timeout: 30_000 });
  suite.check(`${label}: ${state}`, (await card.locator(".bad").count()) === 0);
}

async function docs(suite) {
  const page = await suite.open("/docs");
  await page.waitForSelector(".operation");
  const count = await page.locator(".operation").count();
  suite.check("the page of the API lists operations and schemas", count > 5, `${count}`);
  const detect = page.locator(".operation", { has: page.locator("code", { hasText: /^\/\u200bv1\/\u200bdetect$/ }) });
  await detect.locator("> summary").click();
  await detect.locator(".inside").waitFor();
  const inside = (await detect.textContent()) ?? "";
  suite.check("detect shows its parameters and a command line", inside.includes("conf") && inside.includes("curl"));
  await suite.shot(page, "13-docs");
  await detect.locator("input[type=file]").setInputFiles(suite.bus);
  await detect.locator("button", { hasText: "Send" }).click();
  await detect.locator(".result pre").waitFor({ timeout: 30_000 });
  suite.check("it can be tried", ((await detect.locator(".result pre").textContent()) ?? "").includes('"confidence"'));
  await page.fill("#find", "models");
  suite.check("operations are found", (await page.locator(".operation:visible").count()) < count);
  await page.context().close();
}

async function chineseDocs(suite) {
  const page = await suite.open("/docs", { locale: "zh-CN" });
  await page.waitForSelector(".operation");
  for (const summary of await page.locator(".operation > summary").all()) await summary.click();
  const left = await page.$$eval(".summary-text, .about p, .what, .answer summary span:not(.badge), .answer > span:not(.badge), td p, .group > h2, h3", (list) =>
    list.map((element) => element.textContent ?? "").filter((text) => /[a-z]{3}/.test(text) && !/[\u4e00-\u9fff]/.test(text)));
  suite.equal("the page of the API has no text in English only", [...new Set(left)], ["DeepStack"]);
  await page.evaluate(() => scrollTo(0, 0));
  await suite.shot(page, "33-docs-chinese");
  await page.context().close();
}

async function phone(suite) {
  const options = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 3, hasTouch: true, isMobile: true };
  const page = await suite.open("/", options);
  const fits = async (name) => {
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    suite.check(`360 px wide: ${name} fits`, width <= 360, `${width}`);
  };
  await fits("the first screen");
  await suite.shot(page, "14-phone-first");
  await page.setInputFiles("#files", suite.bus);
  await boxes(page, 5);
  await settle(page);
  await fits("an image");
  const places = await page.$$eval("#results, .panel > .card:not(.results)", (list) => list.filter((card) => card.checkVisibility()).map((card) => [card.id, card.getBoundingClientRect().top]));
  suite.equal("results come before settings, for the eyes and for the keyboard", [places[0][0], places.every(([, top], index) => index === 0 || top > places[index - 1][1])], ["results", true]);
  suite.equal("three pixels a point", await page.$eval("#canvas", (canvas) => Math.round(canvas.width / canvas.clientWidth)), 3);
  await suite.shot(page, "15-phone-bus");
  await page.locator("#rows").scrollIntoViewIfNeeded();
  await suite.shot(page, "16-phone-table");
  for (const name of ["monitor", "models"]) {
    await page.tap(`a[data-page=${name}]`);
    await page.waitForTimeout(1500);
    await fits(name);
    await suite.shot(page, `17-phone-${name}`);
  }
  const small = await page.$$eval("button, a, select, summary", (list) =>
    list.filter((element) => element.checkVisibility()).map((element) => [element.textContent?.trim() || element.id, element.getBoundingClientRect()]).filter(([, { width, height }]) => (width < 24 || height < 24) && width > 1).map(([name]) => name));
  suite.equal("nothing to tap is smaller than 24 px", small, []);
  await page.goto(`${suite.url}/docs`);
  await page.waitForSelector(".operation");
  await fits("the API");
  await suite.shot(page, "18-phone-docs");
  await page.context().close();
}
