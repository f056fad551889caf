// axe-core over every page, in both colours, both languages, wide and narrow.

import axe from "axe-core";

import { boxes, settle } from "./actions.mjs";

const SCREENS = [
  ["light", {}],
  ["dark, Chinese", { colorScheme: "dark", locale: "zh-CN" }],
  ["phone", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }],
  ["less motion, more contrast", { reducedMotion: "reduce", contrast: "more" }],
];

export async function accessibility(suite) {
  for (const [name, options] of SCREENS) {
    const page = await suite.open("/", options);
    await inspect(suite, page, `${name}: first screen`);
    await page.setInputFiles("#files", [suite.bus, suite.zidane]);
    await boxes(page, 5);
    await page.click(".chip >> nth=0");
    const other = await page.locator("#other-model option").nth(1).getAttribute("value");
    await page.selectOption("#other-model", other);
    await page.waitForFunction(() => / box/.test(document.getElementById("other-title")?.textContent ?? "") || /框/.test(document.getElementById("other-title")?.textContent ?? ""));
    await inspect(suite, page, `${name}: boxes`);
    await page.click("#show-json");
    await inspect(suite, page, `${name}: JSON`);
    await page.click("a[data-page=monitor]");
    await page.waitForTimeout(2500);
    await inspect(suite, page, `${name}: monitor`);
    await page.click("a[data-page=models]");
    await page.waitForSelector(".model");
    await page.click(".model summary >> nth=0");
    await inspect(suite, page, `${name}: models`);
    await page.locator(".model .button:not(:first-child)").first().click();
    await inspect(suite, page, `${name}: question`);
    await page.goto(`${suite.url}/docs`);
    await page.click(".operation > summary >> nth=0");
    await inspect(suite, page, `${name}: API`);
    await page.goto(`${suite.url}/problems/not-ready`);
    await inspect(suite, page, `${name}: problem`);
    await page.context().close();
  }
}

async function inspect(suite, page, name) {
  await settle(page);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = violations.map(({ id, impact, nodes }) => `${impact} ${id} (${nodes.map(({ target }) => target.join(" ")).slice(0, 3).join("; ")})`);
  suite.check(`axe, ${name}: nothing`, violations.length === 0, told.join(", "));
}
