// The Web UI in a real browser, against a running server. In, its address, a folder with bus.jpg and
// zidane.jpg, a folder for screenshots; out, a line per check, exit 1 when any fails. The server must
// hold yolo11n as its first model and another as its second; models are unloaded and loaded again at the end.

import { existsSync, mkdirSync } from "node:fs";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

import { accessibility } from "./browser/accessibility.mjs";
import { camera } from "./browser/camera.mjs";
import { compare } from "./browser/compare.mjs";
import { detection } from "./browser/detection.mjs";
import { exports } from "./browser/exports.mjs";
import { health } from "./browser/health.mjs";
import { keyboard } from "./browser/keyboard.mjs";
import { labels } from "./browser/labels.mjs";
import { loading } from "./browser/loading.mjs";
import { pages } from "./browser/pages.mjs";
import { sites } from "./browser/sites.mjs";
import { streams } from "./browser/streams.mjs";
import { token } from "./browser/token.mjs";
import { video } from "./browser/video.mjs";

const HELP = `npm run browser -- [options]
  --url ADDRESS       of a running onelook serve (ONELOOK_URL, else http://127.0.0.1:8000)
  --images FOLDER   with bus.jpg and zidane.jpg (ONELOOK_TEST_DATA/images)
  --shots FOLDER      for screenshots (default: screenshots)
  --chromium PATH     default /usr/bin/chromium
  --only NAME         loading, detection, labels, exports, compare, pages, health, camera, keyboard,
                      token, sites, streams, video or accessibility
  --rtsp ADDRESS      of an RTSP server with the paths gate and yard, for streams; the server must have
                      been started with --allow-stream-host 127.0.0.1 (ONELOOK_RTSP; left out without)
  --video FILE        an MP4 of H.264 with people, for video (left out without)
`;

const { values } = parseArgs({
  options: {
    url: { type: "string", default: process.env.ONELOOK_URL ?? "http://127.0.0.1:8000" },
    images: { type: "string", default: `${process.env.ONELOOK_TEST_DATA ?? "../../../../shared/data"}/images` },
    shots: { type: "string", default: "screenshots" },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    only: { type: "string" },
    rtsp: { type: "string", default: process.env.ONELOOK_RTSP ?? "" },
    video: { type: "string", default: process.env.ONELOOK_VIDEO ?? "" },
    help: { type: "boolean", default: false },
  },
});
if (values.help) {
  process.stdout.write(HELP);
  process.exit(0);
}
for (const name of ["bus.jpg", "zidane.jpg"]) {
  if (existsSync(`${values.images}/${name}`)) continue;
  process.stderr.write(`FAILED: ${values.images}/${name} not found; name the folder with --images\n`);
  process.exit(1);
}
mkdirSync(values.shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: values.chromium,
  args: ["--no-sandbox", "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"],
});
let failures = 0;
let checks = 0;

/** What every group of checks gets. */
const suite = {
  url: values.url.replace(/\/$/, ""),
  images: values.images,
  rtsp: values.rtsp.replace(/\/$/, ""),
  video: values.video,
  bus: `${values.images}/bus.jpg`,
  zidane: `${values.images}/zidane.jpg`,

  /** A fresh page; anything the browser complains of is a failure. */
  async open(path = "/", options = {}, expected = () => false) {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, locale: "en-US", colorScheme: "light", ...options });
    const page = await context.newPage();
    page.on("pageerror", (error) => suite.check(`no error in the page: ${error.message}`, false));
    page.on("console", (line) => {
      if (line.type() === "error" && !expected(line.text())) suite.check(`no complaint in the console: ${line.text()}`, false);
    });
    await page.goto(suite.url + path);
    return page;
  },

  check(name, passed, detail = "") {
    checks += 1;
    if (!passed) failures += 1;
    process.stdout.write(`${passed ? "ok    " : "FAILED"} ${name}${detail === "" ? "" : `: ${detail}`}\n`);
  },

  equal(name, found, wanted) {
    const same = JSON.stringify(found) === JSON.stringify(wanted);
    suite.check(name, same, same ? "" : `${JSON.stringify(found)} instead of ${JSON.stringify(wanted)}`);
  },

  async shot(page, name, fullPage = false) {
    await page.screenshot({ path: `${values.shots}/${name}.png`, fullPage });
  },
};

const groups = { loading, detection, labels, exports, compare, pages, health, camera, keyboard, token, sites, streams, video, accessibility };
for (const [name, group] of Object.entries(groups)) {
  if (values.only && values.only !== name) continue;
  try {
    await group(suite);
  } catch (error) {
    suite.check(`${name} runs to its end`, false, error instanceof Error ? error.message : String(error));
  }
}
await browser.close();
process.stdout.write(`${checks - failures} of ${checks} checks passed; screenshots in ${values.shots}\n`);
process.exit(failures === 0 ? 0 : 1);
