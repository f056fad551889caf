// The state of the server in the bar: it follows what /readyz says, on every page.

import { drop } from "./actions.mjs";

export async function health(suite) {
  const page = await suite.open("/", {}, (line) => /503|ERR_FAILED/.test(line));
  const state = (wanted) => page.waitForFunction((name) => document.getElementById("health")?.dataset.state === name, wanted, { timeout: 10_000 });
  await state("ready");
  const answer = (ready, model) => (route) =>
    route.fulfill({ status: ready ? 200 : 503, contentType: "application/json", body: JSON.stringify({ ready, models: [{ name: "a", state: model, error: null }] }) });
  for (const [model, wanted, text] of [["loading", "loading", "Loading"], ["failed", "notReady", "Not ready"], ["unloaded", "notReady", "Not ready"]]) {
    await page.unroute("**/readyz");
    await page.route("**/readyz", answer(false, model));
    await state(wanted);
    suite.equal(`a server whose model is ${model}: ${text}`, await page.textContent("#health-text"), text);
  }
  await page.unroute("**/readyz");
  await page.route("**/readyz", (route) => route.abort());
  await state("gone");
  suite.equal("a server that does not answer is gone", await page.textContent("#health-text"), "Gone");
  await suite.shot(page, "22-gone");
  await page.setViewportSize({ width: 360, height: 740 });
  suite.check("on a phone what is not ready is written too", (await page.locator("#health-text").boundingBox()).width > 10);
  await page.click("[data-language=zh]");
  suite.equal("in Chinese too", await page.textContent("#health-text"), "已断开");
  await page.click("a[data-page=models]");
  await page.unroute("**/readyz");
  await state("ready");
  suite.check("it comes back by itself, on another page", true);
  await page.context().close();
  await offer(suite);
}

/** A model that is not loaded can be loaded where it is missing. */
async function offer(suite) {
  const page = await suite.open("/", {}, (line) => line.includes("503"));
  await page.waitForFunction(() => document.querySelectorAll("#model option").length > 0);
  const name = await page.inputValue("#model");
  await fetch(`${suite.url}/v1/models/${encodeURIComponent(name)}/unload`, { method: "POST" });
  await page.waitForSelector("#offer .offer-load", { timeout: 10_000 });
  await drop(page, suite.bus);
  await page.waitForSelector("#problem .offer-load", { timeout: 10_000 });
  suite.check("a refused image offers to load the model", true);
  await suite.shot(page, "23-offer");
  await page.click("#offer .offer-load");
  await page.waitForFunction(() => document.getElementById("count")?.textContent === "5 boxes", null, { timeout: 30_000 });
  suite.check("after Load the image is answered by itself", await page.locator("#offer").isHidden());
  await page.context().close();
}
