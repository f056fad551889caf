// Language and colour theme: takes the switches of the page, sets attributes on the root element,
// and stores the choice in the browser. Works without storage too.

import { language, onLanguage, setLanguage, startLanguage } from "./i18n.js";

const STORED = "onelook.theme";

/** @typedef {"light" | "system" | "dark"} Theme */

/** @returns {Theme} */
function theme() {
  const chosen = document.documentElement.dataset.theme;
  return chosen === "light" || chosen === "dark" ? chosen : "system";
}

/** @param {Theme} next */
function setTheme(next) {
  const root = document.documentElement;
  if (next === "system") delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    localStorage.setItem(STORED, next);
  } catch {
    // Not remembered, then.
  }
}

/** Wires both switches and translates the page. */
export function startPreferences() {
  for (const button of choices("language")) {
    button.addEventListener("click", () => setLanguage(button.dataset.language === "zh" ? "zh" : "en"));
  }
  for (const button of choices("theme-choice")) {
    button.addEventListener("click", () => {
      setTheme(/** @type {Theme} */ (button.dataset.themeChoice));
      press();
    });
  }
  onLanguage(press);
  startLanguage();
}

/** @param {string} name */
function choices(name) {
  return /** @type {NodeListOf<HTMLButtonElement>} */ (document.querySelectorAll(`button[data-${name}]`));
}

function press() {
  for (const button of choices("language")) {
    button.setAttribute("aria-pressed", String(button.dataset.language === language()));
  }
  for (const button of choices("theme-choice")) {
    button.setAttribute("aria-pressed", String(button.dataset.themeChoice === theme()));
  }
}
