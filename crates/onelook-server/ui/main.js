// The app: three pages in one document, chosen by the URL's fragment. A hidden page does not poll.

import { onTokenWanted, status } from "./api.js";
import { DetectPage } from "./detect.js";
import { askToken } from "./dialogs.js";
import { get } from "./dom.js";
import { onLanguage, t } from "./i18n.js";
import { startLinks } from "./links.js";
import { ModelsPage } from "./models.js";
import { MonitorPage } from "./monitor.js";
import { startPreferences } from "./preferences.js";

/** @typedef {"detect" | "monitor" | "models"} PageName */
/** @typedef {"unknown" | "ready" | "notReady" | "unreachable"} Health */

onTokenWanted(askToken);
startPreferences();
startLinks("problem");

const monitor = new MonitorPage();
const pages = { detect: new DetectPage(), monitor, models: new ModelsPage() };
/** @type {PageName | null} */
let current = null;
/** @type {{ state: Health, version: string }} */
let health = { state: "unknown", version: "" };

/** @returns {PageName} */
function wanted() {
  const name = location.hash.slice(1);
  return name === "monitor" || name === "models" ? name : "detect";
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

/**
 * @param {Health} state
 * @param {string} version
 */
function showHealth(state, version) {
  health = { state, version };
  get("health").dataset.state = state;
  get("health-text").textContent = t(`server.${state}`);
  get("health").title = version ? t("server.version", { version }) : "";
}

async function firstLook() {
  try {
    const { ready, version } = await status();
    showHealth(ready ? "ready" : "notReady", version);
  } catch {
    showHealth("unreachable", "");
  }
}

monitor.onStatus = (/** @type {import("./api.js").Status | null} */ answer) => {
  if (answer) showHealth(answer.ready ? "ready" : "notReady", answer.version);
  else showHealth("unreachable", health.version);
};
onLanguage(() => {
  nameDocument();
  showHealth(health.state, health.version);
});
addEventListener("hashchange", () => show(true));
get("skip").addEventListener("click", (event) => {
  event.preventDefault();
  get("main").focus();
});
document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && current !== "monitor") void firstLook();
});
show(false);
void firstLook();
