// The first page: pictures in, boxes out. It ties the parts together: pictures and camera bring
// candidates, the settings choose among them, the stage and the table show the choice. It must never
// ask the server again because a threshold moved.

import { models } from "./api.js";
import { Camera } from "./camera.js";
import { Chips } from "./chips.js";
import { announce, get, icon, make, message } from "./dom.js";
import { startExports } from "./exports.js";
import { milliseconds, number, percent } from "./format.js";
import { onLanguage, plural, t } from "./i18n.js";
import { startIntake } from "./intake.js";
import { CANDIDATES, countByClass, select } from "./nms.js";
import { Pictures } from "./images.js";
import { explain } from "./problem.js";
import { readable, record } from "./record.js";
import { Results, showSpeed } from "./results.js";
import { Settings } from "./settings.js";
import { Strip } from "./strip.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {import("./images.js").Picture} Picture */
/**
 * What is on the stage, whether from a file or from the camera.
 * @typedef {object} Scene
 * @property {string} name
 * @property {CanvasImageSource | null} picture
 * @property {number} width
 * @property {number} height
 * @property {Detection[]} candidates
 * @property {Record<string, number>} speed
 * @property {string | null} model
 * @property {boolean} pending
 * @property {boolean} failed
 */

const ANNOUNCE_AFTER_MS = 600;

export class DetectPage {
  constructor() {
    this.settings = new Settings();
    this.pictures = new Pictures();
    this.camera = new Camera();
    this.viewer = new Viewer(get("canvas", HTMLCanvasElement));
    this.results = new Results();
    this.chips = new Chips();
    this.strip = new Strip();
    /** @type {Scene | null} */
    this.scene = null;
    /** @type {Detection[]} */
    this.shown = [];
    /** @type {Blob | null} */
    this.liveBlob = null;
    this.announceTimer = 0;
    this.refreshFrame = 0;
    this.#connect();
    this.#tools();
    startIntake(() => !get("page-detect").hidden, (files) => void this.#add(files));
    startExports({
      scene: () => this.scene && { ...this.scene, shown: this.shown, labels: this.viewer.labels },
      entry: () => this.scene && this.#record(this.scene, this.shown),
      entries: () => this.#records(),
      complain: (text) => this.#complain(text),
    });
    this.#cameraControls();
    onLanguage(() => this.#retranslate());
  }

  /** The page comes into sight. */
  async enter() {
    try {
      this.settings.setModels(await models());
      this.pictures.setOptions(this.settings.options);
    } catch (error) {
      this.#complain(explain(error));
    }
    this.pictures.release();
  }

  leave() {
    if (this.camera.running) this.#stopCamera();
  }

  #connect() {
    this.settings.onThresholds = () => this.#refreshSoon();
    this.settings.onModel = () => this.pictures.setOptions(this.settings.options);
    this.chips.onChange = () => this.#refresh();
    this.pictures.onChange = (picture) => this.#pictureChanged(picture);
    this.strip.count = (picture) => select(picture.candidates, this.settings.thresholds).length;
    this.strip.onOpen = (picture) => {
      if (this.camera.running) this.#stopCamera();
      void this.#open(picture);
    };
    this.strip.onRemove = (picture) => this.#remove(picture);
    this.strip.onRemoveAll = () => this.#removeAll();
    this.results.onHighlight = (index) => this.#highlight(index);
    this.results.onPick = (index) => {
      const found = this.shown[index];
      if (found) this.viewer.zoomToBox(found.box);
    };
    this.viewer.onHover = (index) => this.#highlight(index);
    this.viewer.onPick = (index) => {
      if (index !== null && !get("table-frame").hidden) this.results.reveal(index);
    };
    this.viewer.onZoom = (zoom) => {
      get("zoom-value").textContent = percent(zoom);
    };
  }

  /** @param {number | null} index */
  #highlight(index) {
    this.viewer.setHighlight(index);
    this.results.highlight(index);
  }

  /** @param {File[]} files */
  async #add(files) {
    const pictures = files.filter((file) => file.type.startsWith("image/") || file.type === "");
    if (files.length > 0 && pictures.length === 0) this.#complain(t("detect.noPictures"));
    if (pictures.length === 0) return;
    if (this.camera.running) this.#stopCamera();
    this.#complain("");
    const onWelcome = get("welcome").contains(document.activeElement);
    const added = pictures.map((file) => this.pictures.add(file, file.name || "picture"));
    await this.#open(added[0] ?? null);
    if (onWelcome) get("canvas").focus();
  }

  /** @param {Picture | null} picture */
  async #open(picture) {
    this.pictures.current = picture;
    this.#thumbs();
    void this.pictures.run();
    if (picture) await this.pictures.decode(picture);
    if (this.pictures.current !== picture || this.camera.running) return;
    this.#sceneOf(picture);
    this.pictures.tidy();
  }

  /** @param {Picture | null} picture */
  #sceneOf(picture) {
    const again = picture !== null && this.scene?.picture === picture.bitmap && this.scene?.name === picture.name;
    this.scene = picture && {
      name: picture.name,
      picture: picture.bitmap,
      width: picture.width,
      height: picture.height,
      candidates: picture.candidates,
      speed: picture.speed,
      model: picture.model,
      pending: picture.state !== "done",
      failed: picture.state === "failed",
    };
    get("busy").hidden = !picture || picture.state === "done" || picture.state === "failed";
    if (picture?.state === "failed") this.#complain(explain(picture.error), this.#retryButton(picture));
    else if (picture?.state === "done" && !picture.drawable) this.#complain(t("detect.undrawable", { name: picture.name }));
    else this.#complain("");
    this.#stage(again);
  }

  /** @param {boolean} keepView */
  #stage(keepView) {
    const { scene } = this;
    get("welcome").hidden = scene !== null;
    get("viewer").hidden = scene === null;
    get("broken").hidden = !scene || scene.picture !== null || scene.width > 0 || !scene.failed;
    if (scene) this.viewer.show(scene.picture, scene.width, scene.height, keepView);
    else this.viewer.show(null, 0, 0);
    this.#refresh();
  }

  /** @param {Picture} picture */
  #pictureChanged(picture) {
    this.#thumbs();
    if (picture !== this.pictures.current || this.camera.running) return;
    this.#sceneOf(picture);
    if (picture.state === "done") this.#announceCount(0);
  }

  #refreshSoon() {
    this.refreshFrame ||= requestAnimationFrame(() => {
      this.refreshFrame = 0;
      this.#refresh();
      if (!this.camera.running) this.#announceCount(ANNOUNCE_AFTER_MS);
    });
  }

  /** Chooses anew among what was found and shows the choice everywhere. */
  #refresh() {
    const { scene } = this;
    const thresholds = this.settings.thresholds;
    const every = scene ? select(scene.candidates, thresholds) : [];
    const { chosen } = this.chips;
    this.shown = scene && chosen.size > 0 ? select(scene.candidates, { ...thresholds, classes: chosen }) : every;
    this.chips.show(countByClass(every));
    this.viewer.highlight = null;
    this.viewer.setDetections(this.shown);
    this.results.show(this.shown);
    const nothing = this.shown.length === 0;
    get("results-empty").textContent = t(scene && !scene.pending ? "results.empty" : "results.pending");
    get("results-empty").hidden = !nothing;
    this.#forms();
    get("count").textContent = scene && !scene.pending ? plural("boxes", this.shown.length) : "";
    get("downloads").hidden = !scene || scene.pending || this.camera.running;
    get("save-all").hidden = this.pictures.list.length < 2;
    showSpeed(scene?.speed ?? {});
    this.#describe();
    this.#warnTruncated();
  }

  #forms() {
    const table = get("show-table").getAttribute("aria-pressed") === "true";
    const { scene } = this;
    get("table-frame").hidden = !table || this.shown.length === 0;
    get("json-frame").hidden = table || !scene || scene.pending;
    get("json").textContent = !table && scene ? readable(this.#record(scene, this.shown)) : "";
  }

  #describe() {
    const { scene, shown } = this;
    if (!scene) return;
    const counts = countByClass(shown).map(({ name, count }) => `${count} ${name}`);
    const what = counts.length > 0 ? counts.join(", ") : t("view.nothing");
    get("canvas").setAttribute("aria-label", t("view.summary", { name: scene.name, what }));
  }

  #warnTruncated() {
    const { scene } = this;
    const least = scene && scene.candidates.length >= CANDIDATES.maxDet ? scene.candidates.at(-1)?.confidence : null;
    if (least == null || least <= this.settings.thresholds.conf) return;
    this.#complain(t("detect.truncated", { count: CANDIDATES.maxDet, confidence: least.toFixed(2) }));
  }

  /** @param {number} delay */
  #announceCount(delay) {
    clearTimeout(this.announceTimer);
    this.announceTimer = setTimeout(() => {
      this.#thumbs();
      if (!this.scene) return;
      announce(t("detect.done", { name: this.scene.name, boxes: plural("boxes", this.shown.length) }));
    }, delay);
  }

  /**
   * @param {string} text
   * @param {...Node} extras
   */
  #complain(text, ...extras) {
    const close = make("button", { type: "button", class: "close", "aria-label": t("detect.dismiss") }, icon("close"));
    close.addEventListener("click", () => message(get("problem"), ""));
    message(get("problem"), text, ...extras, close);
  }

  /** @param {Picture} picture */
  #retryButton(picture) {
    const button = make("button", { type: "button", class: "button small" }, t("detect.retry"));
    button.addEventListener("click", () => this.pictures.retry(picture));
    return button;
  }

  #thumbs() {
    this.strip.show(this.pictures.list, this.pictures.current, this.camera.running);
  }

  /** @param {Picture} picture */
  #remove(picture) {
    const wasCurrent = picture === this.pictures.current;
    this.pictures.remove(picture);
    if (wasCurrent && !this.camera.running) void this.#open(this.pictures.current);
    else this.#thumbs();
    if (this.pictures.list.length === 0) this.#emptied();
    else get("add").focus();
  }

  #removeAll() {
    for (const picture of [...this.pictures.list]) this.pictures.remove(picture);
    if (!this.camera.running) void this.#open(null);
    this.#thumbs();
    this.#emptied();
  }

  #emptied() {
    this.chips.clear();
    get(get("welcome").hidden ? "add" : "choose").focus();
  }

  #tools() {
    get("zoom-in").addEventListener("click", () => this.viewer.zoomBy(1.25));
    get("zoom-out").addEventListener("click", () => this.viewer.zoomBy(0.8));
    get("zoom-fit").addEventListener("click", () => this.viewer.fit());
    get("zoom-actual").addEventListener("click", () => this.viewer.actual());
    get("labels").addEventListener("click", () => {
      this.viewer.labels = !this.viewer.labels;
      get("labels").setAttribute("aria-pressed", String(this.viewer.labels));
      this.viewer.redraw();
    });
    for (const form of ["table", "json"]) {
      get(`show-${form}`).addEventListener("click", () => {
        for (const other of ["table", "json"]) get(`show-${other}`).setAttribute("aria-pressed", String(form === other));
        this.#forms();
      });
    }
  }

  /**
   * @param {Scene} scene
   * @param {Detection[]} detections
   */
  #record(scene, detections) {
    return record({ ...scene, task: this.settings.find(scene.model)?.task ?? null }, detections);
  }

  /** Of every picture that is done, at the present settings. */
  #records() {
    const thresholds = { ...this.settings.thresholds, classes: this.chips.chosen };
    return this.pictures.list
      .filter((picture) => picture.state === "done")
      .map((picture) => {
        const task = this.settings.find(picture.model)?.task ?? null;
        return record({ ...picture, task }, select(picture.candidates, thresholds));
      });
  }

  #cameraControls() {
    for (const id of ["use-camera", "add-camera"]) get(id).addEventListener("click", () => void this.#startCamera(null));
    get("camera-stop").addEventListener("click", () => this.#stopCamera());
    get("camera-keep").addEventListener("click", () => this.#keep());
    get("camera-which").addEventListener("change", (event) => {
      void this.#startCamera(/** @type {HTMLSelectElement} */ (event.target).value);
    });
    this.camera.onEnd = () => this.#stopCamera();
    this.camera.onError = (error) => this.#complain(explain(error));
    this.camera.onFrame = ({ picture, blob, found, fps, latency }) => {
      this.liveBlob = blob;
      this.#complain("");
      const { width, height } = picture;
      const model = this.settings.options.model;
      this.scene = { name: t("camera.live"), picture, width, height, candidates: found.detections, speed: found.speed_ms ?? {}, model, pending: false, failed: false };
      get("busy").hidden = true;
      get("live").hidden = false;
      get("live-fps").textContent = t("camera.fps", { fps: number(fps) });
      get("live-latency").textContent = t("camera.latency", { time: milliseconds(latency) });
      this.#stage(true);
    };
  }

  /** @param {string | null} deviceId */
  async #startCamera(deviceId) {
    announce(t("camera.starting"));
    const obstacle = await this.camera.start(deviceId, () => this.settings.options);
    if (obstacle) {
      this.#stopCamera();
      this.#complain(t(obstacle));
      return;
    }
    this.#complain("");
    announce(t("camera.running"));
    get("camera-bar").hidden = false;
    this.#thumbs();
    await this.#listCameras();
    get("camera-keep").focus();
  }

  async #listCameras() {
    const devices = await this.camera.devices();
    get("camera-field").hidden = devices.length < 2;
    const which = get("camera-which", HTMLSelectElement);
    which.replaceChildren(
      ...devices.map((device, place) => {
        const name = device.label || t("camera.numbered", { number: place + 1 });
        return make("option", { value: device.deviceId }, name);
      }),
    );
    which.value = this.camera.deviceId ?? which.value;
  }

  #stopCamera() {
    const ran = this.camera.running || !get("camera-bar").hidden;
    this.camera.stop();
    get("camera-bar").hidden = true;
    get("live").hidden = true;
    if (ran) announce(t("camera.stopped"));
    void this.#open(this.pictures.current);
    if (ran) get(this.pictures.current ? "add-camera" : "use-camera").focus();
  }

  #keep() {
    if (!this.liveBlob) return;
    const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "");
    this.pictures.current = this.pictures.add(this.liveBlob, `${t("camera.name", { time })}.jpg`);
    this.#thumbs();
    void this.pictures.run();
  }

  #retranslate() {
    this.settings.retranslate();
    this.results.showColumns();
    this.#thumbs();
    this.#refresh();
  }
}
