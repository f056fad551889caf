// A page of another site, here another port, that tries to use the server by way of the browser.

import { createServer } from "node:http";

const PAGE = "<!doctype html><title>another site</title><form method=post enctype=text/plain><input name=a value=b></form>";

export async function sites(suite) {
  const other = createServer((_, answer) => answer.writeHead(200, { "Content-Type": "text/html" }).end(PAGE));
  await new Promise((resolve) => other.listen(0, "127.0.0.1", () => resolve(undefined)));
  const { port } = /** @type {import("node:net").AddressInfo} */ (other.address());
  const page = await suite.open("/ui/favicon.svg", {}, () => true);
  const model = await page.evaluate(async () => (await (await fetch("/v1/models")).json()).models[0].name);
  const state = async () => {
    const answer = await page.request.get(`${suite.url}/v1/models/${model}`);
    return (await answer.json()).state;
  };
  for (const host of ["127.0.0.1", "localhost"]) {
    await page.goto(`http://${host}:${port}/`);
    await attempts(suite, page, host, `${suite.url}/v1/models/${model}/unload`, state);
  }
  await page.context().close();
  other.close();
}

async function attempts(suite, page, host, unload, state) {
  const blind = await page.evaluate((url) => fetch(url, { method: "POST", mode: "no-cors" }).then((answer) => answer.type, String), unload);
  suite.equal(`a page on ${host} sees nothing of the answer`, blind, "opaque");
  suite.equal("its request without CORS does not unload the model", await state(), "ready");
  const read = await page.evaluate((url) => fetch(url, { method: "POST" }).then(() => "read", () => "refused"), unload);
  suite.equal("its request with CORS is refused", read, "refused");
  const json = { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" };
  const preflight = await page.evaluate(([url, options]) => fetch(url, options).then(() => "read", () => "refused"), [unload, json]);
  suite.equal("so is one that needs a preflight", preflight, "refused");
  const sent = await page.evaluate((url) => navigator.sendBeacon(url, "x"), unload);
  suite.check("a beacon goes out", sent);
  const answer = page.waitForResponse(unload);
  await page.evaluate((url) => Object.assign(document.forms[0], { action: url }).submit(), unload);
  suite.equal("a form that it submits is refused", (await answer).status(), 403);
  // The page goes to the answer; only then can it go elsewhere.
  await page.waitForURL(unload);
  suite.equal("the model still serves", await state(), "ready");
}
