// Dialogs: a confirmation, and the form for a token. Each returns a promise of the answer. Shows
// one at a time, and does not keep the token.

import { get, make } from "./dom.js";
import { t } from "./i18n.js";

/**
 * @param {{ title: string, text: string, yes: string }} words
 * @returns {Promise<boolean>}
 */
export function confirmed(words) {
  const dialog = get("confirm", HTMLDialogElement);
  get("confirm-title").textContent = words.title;
  get("confirm-text").textContent = words.text;
  get("confirm-yes").textContent = words.yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

/**
 * @param {boolean} refused Whether a token was sent and refused.
 * @returns {Promise<string | null>} Nothing when declined.
 */
export function askToken(refused) {
  const input = make("input", { type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "token-text" });
  const cancel = make("button", { class: "button", type: "button" }, t("dialog.cancel"));
  const use = make("button", { class: "button primary", value: "use" }, t("token.use"));
  const dialog = make(
    "dialog",
    { "aria-labelledby": "token-title" },
    make(
      "form",
      { method: "dialog" },
      make("h2", { id: "token-title" }, t("token.title")),
      refused ? make("p", { class: "bad", role: "alert" }, t("token.refused")) : null,
      make("p", { id: "token-text" }, t("token.text")),
      make("label", { class: "field", for: "token" }, make("span", {}, t("token.label")), input),
      make("div", { class: "row end" }, cancel, use),
    ),
  );
  cancel.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      const value = input.value.trim();
      dialog.remove();
      done(dialog.returnValue === "use" && value !== "" ? value : null);
    });
  });
}
