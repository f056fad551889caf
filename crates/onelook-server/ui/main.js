// The app: five pages in one document, chosen by the URL's fragment. A hidden page does not poll; the
// state of the server is looked at on all of them.

import { onTokenWanted, status } from "./api.js";
import { DetectPage } from "./detect.js";
import { askToken } from "./dialogs.js";
import { get } from "./dom.js";
import { Health } from "./health.js";
import { onLanguage, t } from "./i18n.js";
import { startLinks } from "./links.js";
import { ModelsPage } from "./models.js";
import { MonitorPage } from "./monitor.js";
import { startPreferences } from "./preferences.js";
import { StreamsPage } from "./streams.js";
import { startToken } from "./token.js";
import { VideoPage } from "./video.js";

/** @typedef {"detect" | "video" | "streams" | "monitor" | "models"} PageName */

onTokenWanted(askToken);
startPreferences();
startLinks("problem");

const monitor = new MonitorPage();
const pages = { detect: new DetectPage(), video: new VideoPage(), streams: new StreamsPage(), monitor, models: new ModelsPage() };
/** @type {PageName | null} */
let current = null;
const health = new Health();

/** @returns {PageName} */
function wanted() {
  const name = location.hash.slice(1);
  return name === "video" || name === "streams" || name === "monitor" || name === "models" ? name : "detect";
}

/** @param {boolean} moveFocus */
function show(moveFocus) {
  const next = wanted();
  if (next === current) return;
  if (current) pages[current].leave();
  current = next;
  for (const name of /** @type {PageName[]} */ (Object.keys(pages))) get(`page-${name}`).hidden = name !== next;
  for (const link of document.querySelectorAll("a[data-page]")) {
    if (link.getAttribute("data-page") === next) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  nameDocument();
  scrollTo(0, 0);
  if (moveFocus) get("main").focus({ preventScroll: true });
  void pages[next].enter();
}

function nameDocument() {
  document.title = current ? `${t(`nav.${current}`)} · onelook` : t("app.title");
}

async function learnVersion() {
  const answer = await status().catch(() => null);
  if (answer) health.setVersion(answer.version);
}

health.onChange = () => {
  if (health.version === "") void learnVersion();
  if (current === "detect") void pages.detect.refreshModels();
};
monitor.onAnswer = () => void health.look();
startToken(() => current && void pages[current].enter());
onLanguage(nameDocument);
addEventListener("hashchange", () => show(true));
get("skip").addEventListener("click", (event) => {
  event.preventDefault();
  get("main").focus();
});
show(false);
void health.look();
void learnVersion();
