// axe-core over every page, in both colours, both languages, wide and narrow.

import axe from "axe-core";

import { boxes, settle } from "./actions.mjs";

const SCREENS = [
  ["light", {}],
  ["dark, Chinese", { colorScheme: "dark", locale: "zh-CN" }],
  ["phone", { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true }],
  ["less motion, more contrast", { reducedMotion: "reduce", contrast: "more" }],
];

export async function accessibility(bench) {
  for (const [name, options] of SCREENS) {
    const page = await bench.open("/", options);
    await inspect(bench, page, `${name}: first screen`);
    await page.setInputFiles("#files", [bench.bus, bench.zidane]);
    await boxes(page, 5);
    await page.click(".chip >> nth=0");
    await inspect(bench, page, `${name}: boxes`);
    await page.click("#show-json");
    await inspect(bench, page, `${name}: JSON`);
    await page.click("a[data-page=monitor]");
    await page.waitForTimeout(2500);
    await inspect(bench, page, `${name}: monitor`);
    await page.click("a[data-page=models]");
    await page.waitForSelector(".model");
    await page.click(".model summary >> nth=0");
    await inspect(bench, page, `${name}: models`);
    await page.locator(".model .button:not(:first-child)").first().click();
    await inspect(bench, page, `${name}: question`);
    await page.goto(`${bench.url}/docs`);
    await page.click(".operation > summary >> nth=0");
    await inspect(bench, page, `${name}: API`);
    await page.context().close();
  }
}

async function inspect(bench, page, name) {
  await settle(page);
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const grave = violations.filter(({ impact }) => impact === "serious" || impact === "critical");
  const told = grave.map(({ id, nodes }) => `${id} (${nodes.map(({ target }) => target.join(" ")).slice(0, 3).join("; ")})`);
  bench.check(`axe, ${name}: nothing serious`, grave.length === 0, told.join(", "));
  for (const { id, impact, nodes } of violations.filter((found) => !grave.includes(found))) {
    process.stdout.write(`note   axe, ${name}: ${impact} ${id} (${nodes[0]?.target.join(" ")})\n`);
  }
}
