// The Detect page. Connects its parts: images and camera give candidates, the settings filter them,
// the viewer and the table show the rest. A changed threshold needs no new request.

import { models } from "./api.js";
import { Camera } from "./camera.js";
import { Chips } from "./chips.js";
import { Comparison } from "./compare.js";
import { announce, get, icon, make, message } from "./dom.js";
import { startExports } from "./exports.js";
import { milliseconds, number, percent } from "./format.js";
import { onLanguage, plural, t } from "./i18n.js";
import { startIntake } from "./intake.js";
import { CANDIDATES, countByClass, select } from "./nms.js";
import { ImageQueue } from "./images.js";
import { LoadOffer, waitsForModel } from "./offer.js";
import { paintImage } from "./paint.js";
import { explain } from "./problem.js";
import { readable, record } from "./record.js";
import { putResultsFirst, Results, showSpeed } from "./results.js";
import { Settings } from "./settings.js";
import { startSteps } from "./steps.js";
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
/** A cup on a table; see ui/README.md for where it is from. */
const SAMPLE = new URL("./sample.jpg", import.meta.url);

export class DetectPage {
  constructor() {
    this.settings = new Settings();
    this.images = new ImageQueue();
    this.camera = new Camera();
    this.viewer = new Viewer(get("canvas", HTMLCanvasElement));
    this.comparison = new Comparison(this.viewer);
    this.offer = new LoadOffer();
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
      drawings: () => this.#drawings(),
      names: () => this.settings.find(this.scene?.model ?? null)?.names ?? [],
      complain: (text) => this.#complain(text),
    });
    get("sample").addEventListener("click", () => void this.#addSample());
    this.#cameraControls();
    putResultsFirst();
    onLanguage(() => this.#retranslate());
  }

  /** Called when the page is shown. */
  async enter() {
    await this.refreshModels();
    this.images.release();
  }

  /** Asks for the models again; call it when the server or a model has changed its state. */
  async refreshModels() {
    try {
      this.settings.setModels(await models());
      this.images.setOptions(this.settings.options);
    } catch (error) {
      this.#complain(explain(error));
    }
    this.#modelsChanged();
  }

  #modelsChanged() {
    const { chosen } = this.settings;
    this.offer.show(chosen);
    this.comparison.setModels(this.settings.models, this.settings.model.value);
    if (chosen?.state === "ready" && this.images.list.some(waitsForModel)) this.images.retryFailed();
    this.comparison.retry();
    this.#compare();
  }

  leave() {
    if (this.camera.running) this.#stopCamera();
  }

  #connect() {
    this.settings.onThresholds = () => this.#refreshSoon();
    this.settings.onModel = () => {
      this.images.setOptions(this.settings.options);
      this.offer.problem = "";
      this.#modelsChanged();
    };
    this.offer.onLoaded = () => void this.refreshModels();
    this.comparison.onChange = () => this.#compare();
    this.chips.onChange = () => this.#refresh();
    this.images.onChange = (image) => this.#imageChanged(image);
    this.strip.count = (image) => select(image.candidates, this.settings.thresholds).length;
    this.strip.onOpen = (image) => {
      if (this.camera.running) this.#stopCamera();
      void this.#open(image);
    };
    this.strip.onRemove = (image) => this.#remove(image);
    this.strip.onRemoveAll = () => this.#removeAll();
    this.#steps();
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

  /** Keys and buttons for the next and the previous image. */
  #steps() {
    const step = (/** @type {1 | -1} */ by) => {
      const next = this.images.neighbour(by);
      if (!next || this.camera.running) return;
      void this.#open(next);
      this.strip.follow(next);
      announce(t("detect.show", { name: next.name }));
    };
    startSteps(step, [this.viewer, this.comparison.viewer, this.strip]);
  }

  async #addSample() {
    const response = await fetch(SAMPLE).catch(() => null);
    // A server of another version has no such file: then the page has to be loaded again.
    if (!response?.ok) this.#complain(t(response ? "problem.unknown" : "problem.network"));
    else await this.#add([new File([await response.blob()], "sample.jpg", { type: "image/jpeg" })]);
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
    if (image?.state === "failed") this.#complain(explain(image.error), this.#wayOut(image));
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
    get("results-name").textContent = scene && !this.camera.running ? `${scene.name}, ${scene.width} × ${scene.height}` : "";
    get("results-name").hidden = !scene || scene.pending || this.camera.running;
    get("count").textContent = scene && !scene.pending ? plural("boxes", this.shown.length) : "";
    get("downloads").hidden = !scene || scene.pending || this.camera.running;
    this.#compare();
    showSpeed(scene?.speed ?? {});
    this.#describe();
    this.#warnTruncated();
  }

  #compare() {
    const image = this.camera.running ? null : this.images.current;
    const { model, imgsz } = this.settings.options;
    const thresholds = { ...this.settings.thresholds, classes: this.chips.chosen };
    this.comparison.show({ image, model, imgsz, thresholds, count: this.shown.length });
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

  /**
   * What to do about a failed image: load the model, or try again.
   * @param {ImageItem} image
   */
  #wayOut(image) {
    const { chosen } = this.settings;
    if (waitsForModel(image) && chosen && chosen.state !== "loading") return this.offer.button(chosen.name);
    return this.#retryButton(image);
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
      this.#compare();
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

  /** All finished images with their boxes at the current settings, one after the other. */
  async *#drawings() {
    const thresholds = { ...this.settings.thresholds, classes: this.chips.chosen };
    for (const image of this.images.list.filter(({ state }) => state === "done")) {
      const bitmap = image.bitmap ?? (await this.images.toBitmap(image));
      yield paintImage(bitmap, image.width, image.height, select(image.candidates, thresholds), this.viewer.labels);
      if (bitmap !== image.bitmap) bitmap?.close();
    }
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
    this.#modelsChanged();
    this.results.showColumns();
    this.#thumbs();
    this.#refresh();
  }
}
