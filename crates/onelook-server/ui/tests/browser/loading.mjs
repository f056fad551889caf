// How the page is loaded: its files are kept by the browser for good, and the second visit is at least
// three times as fast as the first over a connection with 100 ms round trips. Also the pages of problems.

const ROUND_TRIP_MS = 100;

export async function loading(suite) {
  const html = await (await fetch(suite.url)).text();
  const addresses = [...html.matchAll(/"(\/ui\/[^"]+)"/g)].map(([, address]) => address);
  suite.check("the page names its files by their version", addresses.length > 2 && addresses.every((address) => /^\/ui\/[0-9a-f]{16}\//.test(address)), addresses[0]);
  const kept = await fetch(suite.url + addresses[0]);
  suite.check("a browser may keep them", (kept.headers.get("cache-control") ?? "").includes("immutable"), kept.headers.get("cache-control") ?? "");
  const tag = (await fetch(suite.url)).headers.get("etag");
  suite.equal("the page itself is asked about", (await fetch(suite.url, { headers: { "If-None-Match": tag } })).status, 304);
  await twice(suite);
  await problems(suite);
}

async function twice(suite) {
  const page = await suite.open("/ui/favicon.svg");
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  await session.send("Network.emulateNetworkConditions", { offline: false, latency: ROUND_TRIP_MS, downloadThroughput: -1, uploadThroughput: -1 });
  const load = async () => {
    const began = performance.now();
    await page.goto(suite.url, { waitUntil: "load" });
    await page.waitForFunction(() => document.querySelector("a[data-page][aria-current]") !== null, null, { polling: 10 });
    const time = performance.now() - began;
    await page.goto("about:blank");
    return time;
  };
  const times = { cold: [], warm: [] };
  for (let round = 0; round < 3; round += 1) {
    await session.send("Network.clearBrowserCache");
    times.cold.push(await load());
    times.warm.push(await load());
  }
  const [cold, warm] = [times.cold, times.warm].map((list) => list.sort((a, b) => a - b)[1]);
  suite.check("at 100 ms a round trip the second visit is three times as fast", cold / warm >= 3, `medians of three: cold ${cold.toFixed(0)} ms, warm ${warm.toFixed(0)} ms, ${(cold / warm).toFixed(1)} times`);
  await page.context().close();
}

async function problems(suite) {
  const refused = await fetch(`${suite.url}/v1/models/nobody`);
  const { type } = await refused.json();
  const json = await (await fetch(suite.url + type)).json();
  suite.equal("the type of a problem is an address that explains it", [json.type, json.status, json.meaning !== ""], [type, 404, true]);
  const page = await suite.open(type);
  suite.equal("for people it is a page", await page.textContent("h1"), "not-found");
  await suite.shot(page, "31-problem");
  await page.context().close();
  const chinese = await suite.open(type, { locale: "zh-CN" });
  suite.check("in Chinese too", /[\u4e00-\u9fff]/.test((await chinese.textContent("main")) ?? ""));
  suite.equal("which is told", await chinese.getAttribute("html", "lang"), "zh-Hans");
  await chinese.context().close();
}
