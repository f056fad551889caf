// The browser's camera: live boxes, one request in flight, off when stopped.

export async function camera(suite) {
  const page = await suite.open("/", { permissions: ["camera"] });
  let inFlight = 0;
  let most = 0;
  let total = 0;
  page.on("request", (request) => {
    if (!request.url().includes("/v1/detect")) return;
    total += 1;
    inFlight += 1;
    most = Math.max(most, inFlight);
  });
  const ended = (request) => request.url().includes("/v1/detect") && (inFlight -= 1);
  page.on("requestfinished", ended);
  page.on("requestfailed", ended);
  await page.click("#use-camera");
  await page.waitForFunction(() => /^[0-9.]+ images\/s$/.test(document.getElementById("live-fps")?.textContent ?? "") && !document.getElementById("live-fps")?.textContent?.startsWith("0 "), null, { timeout: 30_000 });
  await page.waitForTimeout(2000);
  suite.check("live images are answered", total > 2, `${total} requests, ${await page.textContent("#live-fps")}`);
  suite.check("one request in flight", most <= 1, `${most}`);
  await suite.shot(page, "19-camera");
  await page.click("#camera-keep");
  await page.waitForSelector(".thumb");
  await page.click("#camera-stop");
  await page.waitForTimeout(500);
  const before = total;
  await page.waitForTimeout(1000);
  suite.check("a stopped camera sends nothing", total - before <= 1, `${total - before}`);
  suite.check("the kept image stays", await page.isVisible("#viewer"));
  suite.check("the bar of the camera is gone", !(await page.isVisible("#camera-bar")));
  await page.context().close();
}
