// The wall of the Streams page for a long time: adds streams, leaves the page open in a real browser, and samples what
// browser and server hold. Speaks the browser's own protocol: a tool that follows all that a page does, as Playwright
// does, makes the browser keep it. In, the addresses of a running `onelook serve --allow-stream-host 127.0.0.1` and of an RTSP
// server; out, a line per sample, whether each curve is flat, and exit 1 if one is not. Linux only, for /proc.

import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const HELP = `node wall.mjs [options]
  --url ADDRESS       of a running onelook serve (default http://127.0.0.1:8000)
  --rtsp ADDRESS      of an RTSP server (default rtsp://127.0.0.1:8554)
  --paths A,B         its paths, used in turn (default gate,yard)
  --streams N         default 9
  --minutes N         default 5
  --every SECONDS     between two samples (default 20)
  --server-pid PID    the server's process; found by its port otherwise
  --slope MIB         growth that is still flat, in MiB per hour of each curve (default 40)
  --shots FOLDER      for screenshots (default: none)
  --chromium PATH     default /usr/bin/chromium
`;

const { values } = parseArgs({
  options: {
    url: { type: "string", default: "http://127.0.0.1:8000" },
    rtsp: { type: "string", default: "rtsp://127.0.0.1:8554" },
    paths: { type: "string", default: "gate,yard" },
    streams: { type: "string", default: "9" },
    minutes: { type: "string", default: "5" },
    every: { type: "string", default: "20" },
    "server-pid": { type: "string" },
    slope: { type: "string", default: "40" },
    shots: { type: "string" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
const MIB = 1 << 20;
/** Memory still grows while caches fill: this part of the samples is not judged. */
const SETTLING = 0.3;
const url = values.url.replace(/\/$/, "");
const paths = values.paths.split(",");
const names = Array.from({ length: Number(values.streams) }, (_, index) => `wall-${index + 1}`);
const serverPid = Number(values["server-pid"] ?? pidOfPort(new URL(url).port));

const profile = mkdtempSync(join(tmpdir(), "onelook-wall-"));
const browser = spawn(
  values.chromium,
  ["--headless=new", "--no-sandbox", "--no-first-run", "--remote-debugging-pipe", `--user-data-dir=${profile}`, "about:blank"],
  { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
);
const ended = new Promise((done) => browser.once("exit", done));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
process.on("exit", () => browser.kill());
let failed = false;
try {
  failed = !(await run());
} finally {
  for (const name of names) await fetch(`${url}/v1/streams/${name}`, { method: "DELETE" }).catch(() => {});
  browser.kill();
  await ended;
  rmSync(profile, { recursive: true, force: true });
}
process.exit(failed ? 1 : 0);

async function run() {
  for (const [index, name] of names.entries()) {
    await fetch(`${url}/v1/streams/${name}`, { method: "DELETE" });
    const settings = { name, url: `${values.rtsp.replace(/\/$/, "")}/${paths[index % paths.length]}` };
    const added = await fetch(`${url}/v1/streams`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(settings) });
    if (!added.ok) throw new Error(`${name}: ${await added.text()}`);
  }
  const page = await openPage();
  await page.send("Emulation.setDeviceMetricsOverride", { width: 1440, height: 1300, deviceScaleFactor: 1, mobile: false });
  await page.send("Page.navigate", { url: `${url}/#streams` });
  for (const name of names) await page.until((wanted) => document.querySelector(`[data-stream=${wanted}] .badge[data-state=running]`) !== null, name);
  await drawZone(page, names[0]);
  const samples = [];
  const began = Date.now();
  const end = began + Number(values.minutes) * 60_000;
  print(["minute", "heap", "nodes", "browser", "server", "painted", "entered"]);
  while (Date.now() < end) {
    await new Promise((done) => setTimeout(done, Number(values.every) * 1000));
    const sample = await measure(page, began);
    samples.push(sample);
    print([sample.minute.toFixed(2), sample.heap.toFixed(1), sample.nodes, sample.browser.toFixed(0), sample.server.toFixed(0), sample.painted, sample.entered]);
  }
  if (values.shots) {
    const { data } = await page.send("Page.captureScreenshot", { captureBeyondViewport: true });
    writeFileSync(`${values.shots}/wall.png`, Buffer.from(data, "base64"));
  }
  return judge(samples);
}

async function drawZone(page, name) {
  const [x, y, width, height] = await page.evaluate((wanted) => {
    const tile = document.querySelector(`[data-stream=${wanted}]`);
    tile.scrollIntoView();
    tile.querySelector("[data-draw=zone]").click();
    const box = tile.querySelector("canvas").getBoundingClientRect();
    return [box.x, box.y, box.width, box.height];
  }, name);
  for (const [right, down] of [[0.02, 0.02], [0.98, 0.02], [0.98, 0.98], [0.02, 0.98]]) {
    const point = { x: x + right * width, y: y + down * height, button: "left", clickCount: 1 };
    await page.send("Input.dispatchMouseEvent", { type: "mousePressed", ...point });
    await page.send("Input.dispatchMouseEvent", { type: "mouseReleased", ...point });
  }
  for (const type of ["keyDown", "keyUp"]) await page.send("Input.dispatchKeyEvent", { type, key: "Enter", windowsVirtualKeyCode: 13 });
  await page.until((wanted) => document.querySelector(`[data-stream=${wanted}] [data-place]`) !== null, name);
}

/** The browser's page, by the protocol of its developer tools over a pipe. */
async function openPage() {
  const [, , , input, output] = browser.stdio;
  const waiting = new Map();
  let last = 0;
  let rest = "";
  output.setEncoding("utf8").on("data", (text) => {
    const messages = (rest + text).split("\0");
    rest = messages.pop();
    for (const message of messages) {
      const { id, result, error } = JSON.parse(message);
      const [done, failed] = waiting.get(id) ?? [];
      waiting.delete(id);
      if (error) failed?.(new Error(error.message));
      else done?.(result);
    }
  });
  void ended.then(() => {
    for (const [, failed] of waiting.values()) failed(new Error("the browser has ended"));
  });
  const send = (method, params, sessionId) =>
    new Promise((done, failed) => {
      last += 1;
      waiting.set(last, [done, failed]);
      input.write(`${JSON.stringify({ id: last, method, params, sessionId })}\0`);
    });
  const { targetInfos } = await send("Target.getTargets");
  const { targetId } = targetInfos.find(({ type }) => type === "page");
  const { sessionId } = await send("Target.attachToTarget", { targetId, flatten: true });
  const page = { send: (method, params) => send(method, params, sessionId) };
  page.evaluate = async (action, argument) => {
    const expression = `(${action})(${JSON.stringify(argument)})`;
    const { result, exceptionDetails } = await page.send("Runtime.evaluate", { expression, returnByValue: true });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  page.until = async (action, argument) => {
    const end = Date.now() + 60_000;
    while (!(await page.evaluate(action, argument))) {
      if (Date.now() > end) throw new Error(`not within a minute: ${argument}: ${action}`);
      await new Promise((done) => setTimeout(done, 200));
    }
  };
  return page;
}

/** What page and server hold now, in MiB, after the browser has collected its garbage. */
async function measure(page, began) {
  await page.send("HeapProfiler.collectGarbage");
  const { usedSize } = await page.send("Runtime.getHeapUsage");
  const { nodes } = await page.send("Memory.getDOMCounters");
  const stream = await (await fetch(`${url}/v1/streams/${names[0]}`)).json();
  const painted = await page.evaluate(() => {
    const isPainted = (canvas) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const seen = new Set();
      for (let index = 0; index < data.length; index += 4000) seen.add(data[index]);
      return seen.size > 8;
    };
    return [...document.querySelectorAll("#wall canvas")].filter(isPainted).length;
  });
  return {
    minute: (Date.now() - began) / 60_000,
    heap: usedSize / MIB,
    nodes,
    browser: treeOf(browser.pid).reduce((sum, pid) => sum + proportional(pid), 0) / MIB,
    server: proportional(serverPid) / MIB,
    painted,
    entered: (stream.counts.zones[0]?.entered ?? 0) + (stream.counts.zones[0]?.born_inside ?? 0),
  };
}

function judge(samples) {
  const settled = samples.slice(Math.floor(samples.length * SETTLING));
  let isGood = true;
  const tell = (name, passed, detail) => {
    isGood &&= passed;
    process.stdout.write(`${passed ? "ok    " : "FAILED"} ${name}: ${detail}\n`);
  };
  for (const key of ["heap", "browser", "server"]) {
    const { slope, error } = line(settled.map((sample) => [sample.minute / 60, sample[key]]));
    // What the scatter of the samples alone explains is no growth.
    const passed = slope - 2 * error <= Number(values.slope);
    tell(`${key} is flat`, passed, `${slope.toFixed(1)} ± ${(2 * error).toFixed(1)} MiB per hour, last ${settled.at(-1)?.[key].toFixed(1)} MiB`);
  }
  const least = Math.min(...settled.map(({ painted }) => painted));
  tell("all streams are painted", least === names.length, `${least} of ${names.length}`);
  const [first, last] = [samples[0]?.entered ?? 0, samples.at(-1)?.entered ?? 0];
  tell("the zone that was drawn counts", last > first, `${first} to ${last} entered`);
  return isGood;
}

/** The straight line of least squares, and the standard error of its slope. */
function line(points) {
  const mean = (index) => points.reduce((sum, point) => sum + point[index], 0) / points.length;
  const [x, y] = [mean(0), mean(1)];
  const xx = points.reduce((sum, point) => sum + (point[0] - x) ** 2, 0);
  const slope = points.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) / xx;
  const rest = points.reduce((sum, point) => sum + (point[1] - y - slope * (point[0] - x)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / Math.max(1, points.length - 2) / xx) };
}

/** Bytes of a process; pages that several share count for each only in part. */
function proportional(pid) {
  try {
    return Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0) * 1024;
  } catch {
    return 0;
  }
}

/** A process and all that it has started. */
function treeOf(root) {
  const children = new Map();
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const [, parent] = /\) \S (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8")) ?? [];
      children.set(parent, [...(children.get(parent) ?? []), pid]);
    } catch {
      // It has ended meanwhile.
    }
  }
  const of = (pid) => [pid, ...(children.get(String(pid)) ?? []).flatMap(of)];
  return of(root);
}

function pidOfPort(port) {
  const text = execFileSync("ss", ["-ltnpH", `sport = :${port}`], { encoding: "utf8" });
  const pid = /pid=(\d+)/.exec(text)?.[1];
  if (!pid) throw new Error(`no process listens on port ${port}; name it with --server-pid`);
  return pid;
}

function print(cells) {
  process.stdout.write(`${cells.map((cell) => String(cell).padStart(9)).join("")}\n`);
}
