// A server that requires a token, played by the browser's own network layer.

import { boxes, drop } from "./actions.mjs";

const PROBLEM = { type: "/problems/unauthorized", title: "Unauthorized", status: 401, detail: "this server requires a token" };

export async function token(suite) {
  const page = await suite.open("/ui/favicon.svg", {}, (line) => line.includes("401"));
  await page.route("**/v1/**", async (route) => {
    const given = route.request().headers().authorization;
    if (given === "Bearer secret") return route.continue();
    return route.fulfill({ status: 401, contentType: "application/problem+json", body: JSON.stringify(PROBLEM) });
  });
  await page.goto(suite.url);
  await page.waitForSelector("dialog[open] #token");
  suite.equal("one dialog asks for the token", await page.locator("dialog[open]").count(), 1);
  suite.equal("the keyboard is in its field", await page.evaluate(() => document.activeElement?.id), "token");
  await suite.shot(page, "21-token");
  await page.keyboard.type("wrong");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open] .bad");
  suite.check("a refused token is said to be", true);
  await page.keyboard.type("secret");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.getElementById("health")?.dataset.state === "ready");
  await drop(page, suite.bus);
  await boxes(page, 5);
  suite.check("with the token everything works", true);
  suite.equal("the token is in this tab's storage only", await page.evaluate(() => [sessionStorage.length, Object.values(localStorage).includes("secret")]), [1, false]);
  await change(suite, page);
  await page.context().close();
}

async function change(suite, page) {
  await page.click("#token-change");
  await page.waitForSelector("dialog[open] #token");
  await suite.shot(page, "32-token-change");
  await page.keyboard.type("another");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open] .bad");
  suite.check("another token is used at once, and a wrong one refused", true);
  await page.keyboard.type("secret");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector("dialog[open]") === null);
  suite.equal("the images are still there", await page.locator(".thumb").count(), 1);
  await page.click("#token-change");
  await page.click("dialog[open] button[value=forget]");
  await page.waitForSelector("dialog[open] #token");
  suite.equal("a forgotten token is gone, and asked for when it is needed", await page.evaluate(() => sessionStorage.length), 0);
}
