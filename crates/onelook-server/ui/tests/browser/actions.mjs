// What a person does on the page, for the checks to share.

import { readFileSync } from "node:fs";
import { basename } from "node:path";

/** Drops files on the viewer as a browser does, with all its events. */
export async function drop(page, ...paths) {
  const files = paths.map((path) => ({ name: basename(path), data: readFileSync(path).toString("base64") }));
  const transfer = await page.evaluateHandle((given) => {
    const made = new DataTransfer();
    for (const { name, data } of given) {
      const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
      made.items.add(new File([bytes], name, { type: "image/jpeg" }));
    }
    return made;
  }, files);
  for (const event of ["dragenter", "dragover", "drop"]) await page.dispatchEvent("#viewport", event, { dataTransfer: transfer });
}

/** Pastes a file as a browser does. */
export async function paste(page, path) {
  await page.evaluate(([name, data]) => {
    const made = new DataTransfer();
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    made.items.add(new File([bytes], name, { type: "image/jpeg" }));
    document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: made, bubbles: true, cancelable: true }));
  }, [basename(path), readFileSync(path).toString("base64")]);
}

/** Moves a slider as a hand does: a value and an input event. */
export async function slide(page, id, value) {
  await page.$eval(`#${id}`, (input, wanted) => {
    input.value = String(wanted);
    input.dispatchEvent(new Event("input", { bubbles: true }));
  }, value);
  await settle(page);
}

/** Waits until the page has drawn what was asked of it. */
export async function settle(page) {
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
}

export async function boxes(page, expected) {
  await page.waitForFunction((wanted) => document.getElementById("count")?.textContent?.startsWith(`${wanted} `), expected, { timeout: 30_000 });
}

/** What the page says it found, from its JSON. */
export async function shown(page) {
  await page.click("#show-json");
  const text = await page.textContent("#json");
  await page.click("#show-table");
  return JSON.parse(text ?? "");
}

/** Collects the addresses of requests whose path begins so. */
export function requests(page, prefix) {
  const seen = [];
  page.on("request", (request) => {
    const { pathname } = new URL(request.url());
    if (pathname.startsWith(prefix)) seen.push(request.url());
  });
  return seen;
}
