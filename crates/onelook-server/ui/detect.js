// The Detect page. Connects its parts: images and camera give candidates, the settings filter them,
// the viewer and the table show the rest. A changed threshold needs no new request.

import { models } from "./api.js";
import { Camera } from "./camera.js";
import { Chips } from "./chips.js";
import { announce, get, icon, make, message } from "./dom.js";
import { startExports } from "./exports.js";
import { milliseconds, number, percent } from "./format.js";
import { onLanguage, plural, t } from "./i18n.js";
import { startIntake } from "./intake.js";
import { CANDIDATES, countByClass, select } from "./nms.js";
import { ImageQueue } from "./images.js";
import { explain } from "./problem.js";
import { readable, record } from "./record.js";
import { Results, showSpeed } from "./results.js";
import { Settings } from "./settings.js";
import { Strip } from "./strip.js";
import { Viewer } from "./viewer.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {import("./images.js").ImageItem} ImageItem */
/**
 * What the viewer shows, from a file or from the camera.
 * @typedef {object} Scene
 * @property {string} name
 * @property {CanvasImageSource | null} image
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
    this.images = new ImageQueue();
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

  /** Called when the page is shown. */
  async enter() {
    try {
      this.settings.setModels(await models());
      this.images.setOptions(this.settings.options);
    } catch (error) {
      this.#complain(explain(error));
    }
    this.images.release();
  }

  leave() {
    if (this.camera.running) this.#stopCamera();
  }

  #connect() {
    this.settings.onThresholds = () => this.#refreshSoon();
    this.settings.onModel = () => this.images.setOptions(this.settings.options);
    this.chips.onChange = () => this.#refresh();
    this.images.onChange = (image) => this.#imageChanged(image);
    this.strip.count = (image) => select(image.candidates, this.settings.thresholds).length;
    this.strip.onOpen = (image) => {
      if (this.camera.running) this.#stopCamera();
      void this.#open(image);
    };
    this.strip.onRemove = (image) => this.#remove(image);
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
    const images = files.filter((file) => file.type.startsWith("image/") || file.type === "");
    if (files.length > 0 && images.length === 0) this.#complain(t("detect.noImages"));
    if (images.length === 0) return;
    if (this.camera.running) this.#stopCamera();
    this.#complain("");
    const onWelcome = get("welcome").contains(document.activeElement);
    const added = images.map((file) => this.images.add(file, file.name || "image"));
    await this.#open(added[0] ?? null);
    if (onWelcome) get("canvas").focus();
  }

  /** @param {ImageItem | null} image */
  async #open(image) {
    this.images.current = image;
    this.#thumbs();
    void this.images.run();
    if (image) await this.images.decode(image);
    if (this.images.current !== image || this.camera.running) return;
    this.#sceneOf(image);
    this.images.tidy();
  }

  /** @param {ImageItem | null} image */
  #sceneOf(image) {
    const again = image !== null && this.scene?.image === image.bitmap && this.scene?.name === image.name;
    this.scene = image && {
      name: image.name,
      image: image.bitmap,
      width: image.width,
      height: image.height,
      candidates: image.candidates,
      speed: image.speed,
      model: image.model,
      pending: image.state !== "done",
      failed: image.state === "failed",
    };
    get("busy").hidden = !image || image.state === "done" || image.state === "failed";
    if (image?.state === "failed") this.#complain(explain(image.error), this.#retryButton(image));
    else if (image?.state === "done" && !image.drawable) this.#complain(t("detect.undrawable", { name: image.name }));
    else this.#complain("");
    this.#showScene(again);
  }

  /** @param {boolean} keepView */
  #showScene(keepView) {
    const { scene } = this;
    get("welcome").hidden = scene !== null;
    get("viewer").hidden = scene === null;
    get("broken").hidden = !scene || scene.image !== null || scene.width > 0 || !scene.failed;
    if (scene) this.viewer.show(scene.image, scene.width, scene.height, keepView);
    else this.viewer.show(null, 0, 0);
    this.#refresh();
  }

  /** @param {ImageItem} image */
  #imageChanged(image) {
    this.#thumbs();
    if (image !== this.images.current || this.camera.running) return;
    this.#sceneOf(image);
    if (image.state === "done") this.#announceCount(0);
  }

  #refreshSoon() {
    this.refreshFrame ||= requestAnimationFrame(() => {
      this.refreshFrame = 0;
      this.#refresh();
      if (!this.camera.running) this.#announceCount(ANNOUNCE_AFTER_MS);
    });
  }

  /** Filters the candidates again and updates every view. */
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
    get("save-all").hidden = this.images.list.length < 2;
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

  /** @param {ImageItem} image */
  #retryButton(image) {
    const button = make("button", { type: "button", class: "button small" }, t("detect.retry"));
    button.addEventListener("click", () => this.images.retry(image));
    return button;
  }

  #thumbs() {
    this.strip.show(this.images.list, this.images.current, this.camera.running);
  }

  /** @param {ImageItem} image */
  #remove(image) {
    const wasCurrent = image === this.images.current;
    this.images.remove(image);
    if (wasCurrent && !this.camera.running) void this.#open(this.images.current);
    else this.#thumbs();
    if (this.images.list.length === 0) this.#emptied();
    else get("add").focus();
  }

  #removeAll() {
    for (const image of [...this.images.list]) this.images.remove(image);
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

  /** The results of all finished images at the current settings. */
  #records() {
    const thresholds = { ...this.settings.thresholds, classes: this.chips.chosen };
    return this.images.list
      .filter((image) => image.state === "done")
      .map((image) => {
        const task = this.settings.find(image.model)?.task ?? null;
        return record({ ...image, task }, select(image.candidates, thresholds));
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
    this.camera.onFrame = ({ image, blob, found, fps, latency }) => {
      this.liveBlob = blob;
      this.#complain("");
      const { width, height } = image;
      const model = this.settings.options.model;
      this.scene = { name: t("camera.live"), image, width, height, candidates: found.detections, speed: found.speed_ms ?? {}, model, pending: false, failed: false };
      get("busy").hidden = true;
      get("live").hidden = false;
      get("live-fps").textContent = t("camera.fps", { fps: number(fps) });
      get("live-latency").textContent = t("camera.latency", { time: milliseconds(latency) });
      this.#showScene(true);
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
    void this.#open(this.images.current);
    if (ran) get(this.images.current ? "add-camera" : "use-camera").focus();
  }

  #keep() {
    if (!this.liveBlob) return;
    const time = new Date().toTimeString().slice(0, 8).replaceAll(":", "");
    this.images.current = this.images.add(this.liveBlob, `${t("camera.name", { time })}.jpg`);
    this.#thumbs();
    void this.images.run();
  }

  #retranslate() {
    this.settings.retranslate();
    this.results.showColumns();
    this.#thumbs();
    this.#refresh();
  }
}
