// The page by keyboard alone: every control can be reached, is seen to be reached, and works.

import { boxes, settle } from "./actions.mjs";

const LONGEST_WALK = 80;

export async function keyboard(suite) {
  const page = await suite.open();
  await page.setInputFiles("#files", [suite.bus, suite.zidane]);
  await boxes(page, 5);
  await page.evaluate(() => {
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute("tabindex");
  });
  await page.waitForFunction(() => document.querySelectorAll(".thumb[data-state=done]").length === 2);
  await walk(suite, page);
  await use(suite, page);
  await dialogs(suite, page);
  await page.context().close();
}

async function walk(suite, page) {
  const visited = [];
  for (let step = 0; step < LONGEST_WALK; step += 1) {
    await page.keyboard.press("Tab");
    const place = await page.evaluate(() => {
      const element = document.activeElement;
      if (!element || element === document.body) return null;
      const style = getComputedStyle(element);
      const { width, height } = element.getBoundingClientRect();
      const name = element.getAttribute("aria-label") ?? element.labels?.[0]?.textContent ?? element.textContent ?? "";
      return {
        id: element.id || name.trim(),
        named: name.trim() !== "" || element.id === "canvas",
        seen: style.outlineStyle !== "none" && Number.parseFloat(style.outlineWidth) >= 2 && width > 1 && height > 1,
      };
    });
    if (!place) break;
    visited.push(place);
  }
  const ids = visited.map(({ id }) => id);
  const needed = ["skip", "canvas", "labels", "zoom-in", "zoom-fit", "add", "add-camera", "model", "imgsz", "conf", "iou", "agnostic", "show-table", "show-json", "save-png", "save-jpeg", "save-json"];
  suite.equal("the skip link comes first", ids[0], "skip");
  suite.equal("Tab reaches every control", needed.filter((id) => !ids.includes(id)), []);
  suite.equal("every stop has a name", visited.filter(({ named }) => !named).map(({ id }) => id), []);
  suite.equal("every stop shows where the keyboard is", visited.filter(({ seen }) => !seen).map(({ id }) => id), []);
  suite.check("the walk ends", visited.length < LONGEST_WALK, `${visited.length} stops`);
}

async function use(suite, page) {
  await page.focus("#skip");
  await page.keyboard.press("Enter");
  suite.equal("the skip link goes to the content", await page.evaluate(() => document.activeElement?.id), "main");
  await page.focus("#conf");
  for (let press = 0; press < 45; press += 1) await page.keyboard.press("ArrowRight");
  await settle(page);
  suite.equal("arrows move the slider", [await page.textContent("#conf-value"), await page.locator("#rows tr").count()], ["0.70", 4]);
  await page.focus("#reset");
  await page.keyboard.press("Enter");
  await page.focus("#rows button[tabindex='0']");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ArrowDown");
  suite.equal("arrows walk through the table", await page.$eval("#rows", (rows) => [...rows.rows].findIndex((row) => row.contains(document.activeElement))), 2);
  suite.equal("the row with the keyboard is brought out", await page.$eval("#rows", (rows) => [...rows.rows].findIndex((row) => row.classList.contains("on"))), 2);
  await suite.shot(page, "20-keyboard");
  const before = await page.textContent("#zoom-value");
  await page.keyboard.press("Enter");
  suite.check("Enter zooms to the box", before !== (await page.textContent("#zoom-value")));
  await page.focus("#canvas");
  await page.keyboard.press("0");
  suite.equal("0 fits the image again", await page.textContent("#zoom-value"), before);
  await page.focus(".chip");
  await page.keyboard.press("Space");
  suite.equal("Space presses a chip and the keyboard stays on it", await page.evaluate(() => document.activeElement?.getAttribute("aria-pressed")), "true");
  await page.keyboard.press("Space");
  await page.focus("[data-language=zh]");
  await page.keyboard.press("Enter");
  suite.equal("the language by keyboard", await page.getAttribute("html", "lang"), "zh-Hans");
  await page.focus("[data-language=en]");
  await page.keyboard.press("Enter");
}

async function dialogs(suite, page) {
  await page.focus("a[data-page=models]");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".model");
  suite.equal("a new page takes the keyboard to its content", await page.evaluate(() => document.activeElement?.id), "main");
  const unload = page.locator(".model .button", { hasText: "Unload" }).first();
  await unload.focus();
  await page.keyboard.press("Enter");
  const inside = () => page.evaluate(() => document.activeElement?.closest("dialog") !== null || document.activeElement === document.body);
  let kept = true;
  for (let press = 0; press < 6; press += 1) {
    await page.keyboard.press("Tab");
    kept &&= await inside();
  }
  suite.check("the dialog keeps the keyboard", kept);
  await page.keyboard.press("Escape");
  suite.equal("closing gives it back", await unload.evaluate((element) => element === document.activeElement), true);
}
