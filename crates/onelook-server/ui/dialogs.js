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
export async function askToken(refused) {
  const { verdict, value } = await tokenForm(t("token.title"), refused ? t("token.refused") : null, false);
  return verdict === "use" && value !== "" ? value : null;
}

/**
 * Another token in place of the held one.
 * @returns {Promise<string | null | undefined>} Null to forget it, undefined when declined.
 */
export async function changeToken() {
  const { verdict, value } = await tokenForm(t("token.change"), null, true);
  if (verdict === "forget") return null;
  return verdict === "use" && value !== "" ? value : undefined;
}

/**
 * @param {string} title
 * @param {string | null} complaint
 * @param {boolean} held Whether there is a token to forget.
 * @returns {Promise<{ verdict: string, value: string }>}
 */
function tokenForm(title, complaint, held) {
  const input = make("input", { type: "password", id: "token", autocomplete: "off", required: true, "aria-describedby": "token-text" });
  const cancel = make("button", { class: "button", type: "button" }, t("dialog.cancel"));
  const forget = held ? make("button", { class: "button", value: "forget", formnovalidate: true }, t("token.forget")) : null;
  const use = make("button", { class: "button primary", value: "use" }, t("token.use"));
  const dialog = make(
    "dialog",
    { "aria-labelledby": "token-title" },
    make(
      "form",
      { method: "dialog" },
      make("h2", { id: "token-title" }, title),
      complaint === null ? null : make("p", { class: "bad", role: "alert" }, complaint),
      make("p", { id: "token-text" }, t("token.text")),
      make("label", { class: "field", for: "token" }, make("span", {}, t("token.label")), input),
      make("div", { class: "row end" }, cancel, forget, use),
    ),
  );
  cancel.addEventListener("click", () => dialog.close());
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    use.click();
  });
  document.body.append(dialog);
  dialog.showModal();
  input.focus();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      done({ verdict: dialog.returnValue, value: input.value.trim() });
    });
  });
}

/**
 * Shows an image large.
 * @param {Blob} image
 * @param {string} title
 */
export function showImage(image, title) {
  const address = URL.createObjectURL(image);
  const close = make("button", { class: "button", value: "close" }, t("dialog.close"));
  const dialog = make(
    "dialog",
    { class: "large", "aria-labelledby": "image-title" },
    make("form", { method: "dialog" }, make("h2", { id: "image-title" }, title), make("img", { src: address, alt: title }), make("div", { class: "row end" }, close)),
  );
  dialog.addEventListener("close", () => {
    dialog.remove();
    URL.revokeObjectURL(address);
  });
  document.body.append(dialog);
  dialog.showModal();
}

/**
 * Asks how large the rectangle is that was drawn on the ground.
 * @returns {Promise<[number, number] | null>} Metres; nothing when declined.
 */
export function askMeasures() {
  const input = (/** @type {string} */ id) => make("input", { type: "number", id, min: "0.1", max: "10000", step: "any", required: true });
  const [width, depth] = [input("plane-width"), input("plane-depth")];
  const cancel = make("button", { class: "button", type: "button" }, t("dialog.cancel"));
  const dialog = make(
    "dialog",
    { "aria-labelledby": "plane-title" },
    make(
      "form",
      { method: "dialog" },
      make("h2", { id: "plane-title" }, t("plane.title")),
      make("p", {}, t("plane.text")),
      make("label", { class: "field", for: "plane-width" }, make("span", {}, t("plane.width")), width),
      make("label", { class: "field", for: "plane-depth" }, make("span", {}, t("plane.depth")), depth),
      make("div", { class: "row end" }, cancel, make("button", { class: "button primary", value: "use" }, t("plane.use"))),
    ),
  );
  cancel.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue === "use" ? [Number(width.value), Number(depth.value)] : null);
    });
  });
}
