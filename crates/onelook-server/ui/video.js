// The Video page: a file is chosen or dropped, lines and zones may be drawn on it, the server runs it, and the page
// plays the local file with the boxes in time, above a timeline. The file stays in the browser but for what is sent.

import { Problem, addVideo, removeVideo, video as videoState, videoResults } from "./api.js";
import { announce, get, icon, make, message, save } from "./dom.js";
import { bytes, duration as durationText, number, stem } from "./format.js";
import { onLanguage, t } from "./i18n.js";
import { zoneText } from "./place-text.js";
import { explain } from "./problem.js";
import { StreamCanvas } from "./stream-canvas.js";
import { VideoResults } from "./video-results.js";
import { VideoTimeline } from "./video-timeline.js";

/** @typedef {import("./api.js").Video} Video */
/** @typedef {import("./api.js").LineConfig} LineConfig */
/** @typedef {import("./api.js").ZoneConfig} ZoneConfig */

const LOOK_MS = 500;

export class VideoPage {
  constructor() {
    this.file = /** @type {File | null} */ (null);
    this.address = "";
    this.results = new VideoResults();
    /** @type {Video | null} */
    this.job = null;
    this.abort = new AbortController();
    this.sending = false;
    this.visible = false;
    this.player = make("video", { muted: true, playsinline: true, preload: "auto" });
    this.player.muted = true;
    this.view = new StreamCanvas();
    this.timeline = new VideoTimeline((time) => this.#jump(time));
    get("video-view").append(this.view.canvas);
    get("video-timeline").append(this.timeline.element);
    this.seek = get("video-seek", HTMLInputElement);
    this.help = get("video-help");
    this.drawn = 0;
    this.#listen();
    onLanguage(() => this.#render());
    this.#render();
  }

  async enter() {
    this.visible = true;
    this.#paint();
  }

  leave() {
    this.visible = false;
    this.player.pause();
  }

  #listen() {
    const input = get("video-file", HTMLInputElement);
    input.addEventListener("change", () => this.#take(input.files?.[0]));
    document.addEventListener("drop", (event) => {
      if (this.visible) this.#take(event.dataTransfer?.files[0]);
    });
    get("video-form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#run();
    });
    get("video-cancel").addEventListener("click", () => this.#cancel());
    get("video-play").addEventListener("click", () => (this.player.paused ? void this.player.play().catch(() => {}) : this.player.pause()));
    this.seek.addEventListener("input", () => this.#jump(Number(this.seek.value)));
    for (const kind of /** @type {const} */ (["line", "zone"])) {
      get(`video-${kind}`).addEventListener("click", () => this.view.draw(this.view.drawing === kind ? null : kind));
    }
    get("video-clear").addEventListener("click", () => {
      [this.view.lines, this.view.zones] = [[], []];
      this.view.draw(null);
      this.#render();
    });
    this.view.onMode = () => this.#render();
    this.view.onDrawn = (kind, points) => this.#add(kind, points);
    for (const name of ["loadeddata", "seeked", "timeupdate", "pause", "play", "ended"]) this.player.addEventListener(name, () => this.#paint());
    this.player.addEventListener("play", () => this.#follow());
    this.player.addEventListener("error", () => this.file && message(get("video-problem"), t("video.unplayable")));
    document.addEventListener("keydown", (event) => {
      if (!this.visible || this.view.drawing === null || (event.key !== "Escape" && event.key !== "Enter")) return;
      event.preventDefault();
      if (event.key === "Escape") this.view.draw(null);
      else this.view.finish();
    });
    const saved = (/** @type {string} */ id, /** @type {string} */ ending, /** @type {string} */ type, /** @type {() => string} */ text) =>
      get(id).addEventListener("click", () => save(new Blob([text()], { type }), `${stem(this.file?.name ?? "video")}.${ending}`));
    saved("video-jsonl", "jsonl", "application/x-ndjson", () => this.results.jsonLines());
    saved("video-csv", "csv", "text/csv", () => this.results.csv());
    saved("video-mot", "txt", "text/plain", () => this.results.mot());
  }

  /** @param {File | undefined} file */
  #take(file) {
    if (!file) return;
    this.#cancel();
    if (this.address) URL.revokeObjectURL(this.address);
    this.file = file;
    this.address = URL.createObjectURL(file);
    this.results = new VideoResults();
    this.job = null;
    this.view.video = null;
    this.view.frame = null;
    [this.view.lines, this.view.zones] = [[], []];
    this.player.src = this.address;
    message(get("video-problem"), "");
    this.#render();
  }

  async #run() {
    const { file } = this;
    if (!file || this.sending) return;
    this.#cancel();
    const abort = new AbortController();
    this.abort = abort;
    this.results = new VideoResults();
    const fps = get("video-fps", HTMLInputElement).valueAsNumber;
    const limit = fps > 0 ? { fps } : {};
    message(get("video-problem"), "");
    try {
      this.sending = true;
      this.#render();
      this.job = await addVideo(file, { ...limit, lines: this.view.lines, zones: this.view.zones }, abort.signal);
      this.sending = false;
      await this.#watch(this.job.id, abort.signal);
    } catch (error) {
      if (!abort.signal.aborted) message(get("video-problem"), told(error));
    } finally {
      if (this.abort === abort) {
        this.sending = false;
        this.#render();
      }
    }
  }

  /**
   * Reads results until the video has come to its end.
   * @param {string} id
   * @param {AbortSignal} signal
   */
  async #watch(id, signal) {
    for (;;) {
      const job = await videoState(id);
      if (signal.aborted) return;
      this.job = job;
      while (this.results.bytes < job.results_bytes) {
        const lines = await videoResults(id, this.results.bytes);
        if (signal.aborted) return;
        if (lines.length === 0) break;
        this.results.add(lines);
      }
      this.timeline.show(this.results);
      this.#render();
      this.#paint();
      if (job.state === "failed") return message(get("video-problem"), job.error ?? t("video.state.failed"));
      if (job.state === "done") {
        announce(t("video.done", { count: this.results.frames.length }));
        // Its results are here: the server need not keep them.
        return void removeVideo(id);
      }
      if (job.state === "cancelled") return;
      await new Promise((done) => setTimeout(done, LOOK_MS));
      if (signal.aborted) return;
    }
  }

  /** Ends what is sent or run. */
  #cancel() {
    this.abort.abort();
    this.sending = false;
    const { job } = this;
    if (job && !isFinal(job)) {
      void removeVideo(job.id).catch(() => {});
      this.job = { ...job, state: "cancelled" };
    }
    this.#render();
  }

  /** @param {number} time */
  #jump(time) {
    this.player.currentTime = time;
    this.seek.value = String(time);
    this.#paint();
  }

  /** Paints each frame that the player shows, for as long as it plays. */
  #follow() {
    const step = () => {
      this.#paint();
      if (!this.player.paused && this.visible) this.player.requestVideoFrameCallback(step);
    };
    if ("requestVideoFrameCallback" in this.player) this.player.requestVideoFrameCallback(step);
  }

  #paint() {
    if (!this.visible || !this.file) return;
    const playable = this.player.videoWidth > 0;
    const time = playable ? this.player.currentTime : Number(this.seek.value);
    const found = this.results.at(time);
    const width = this.results.video?.width ?? this.player.videoWidth;
    const height = this.results.video?.height ?? this.player.videoHeight;
    if (width > 0 && height > 0) {
      const counts = { lines: [], zones: [] };
      this.view.canvas.style.maxWidth = `calc(70vh * ${width / height})`;
      this.view.showVideo(this.player, { stream: "", number: found?.frame ?? 0, width, height, detections: found?.detections ?? [], counts });
    }
    const length = this.#length();
    this.seek.max = String(length);
    if (playable) this.seek.value = String(time);
    this.timeline.mark(time);
    get("video-time").textContent = `${clock(time)} / ${clock(length)}`;
    get("video-play").replaceChildren(icon(this.player.paused ? "play" : "pause"));
    get("video-play").setAttribute("aria-label", t(this.player.paused ? "video.play" : "video.pause"));
    this.seek.setAttribute("aria-valuetext", clock(time));
  }

  #length() {
    return Number.isFinite(this.player.duration) ? this.player.duration : this.results.duration;
  }

  /**
   * @param {"line" | "zone" | "plane"} kind
   * @param {[number, number][]} points
   */
  #add(kind, points) {
    const { lines, zones } = this.view;
    const [start, end] = points;
    if (kind === "line" && start && end) this.view.lines = [...lines, { name: t("streams.newLine", { number: lines.length + 1 }), start, end }];
    else this.view.zones = [...zones, { name: t("streams.newZone", { number: zones.length + 1 }), corners: points }];
    this.#render();
    this.view.paint();
  }

  #render() {
    const { file, job, view } = this;
    get("video-work").hidden = file === null;
    get("video-name").textContent = file ? `${file.name} · ${bytes(file.size)}` : "";
    const running = this.sending || (job !== null && !isFinal(job));
    get("video-run", HTMLButtonElement).disabled = file === null || running;
    get("video-cancel").hidden = !running;
    get("video-progress-row").hidden = !running;
    get("video-clear").hidden = view.lines.length + view.zones.length === 0;
    for (const kind of /** @type {const} */ (["line", "zone"])) {
      const button = get(`video-${kind}`);
      button.setAttribute("aria-pressed", String(view.drawing === kind));
      button.toggleAttribute("disabled", running);
    }
    const help = view.drawing === "line" || view.drawing === "zone" ? t(`streams.${view.drawing}Help`) : "";
    if (this.help.textContent !== help) this.help.textContent = help;
    this.help.hidden = help === "";
    view.canvas.setAttribute("aria-label", t("video.canvas", { name: file?.name ?? "" }));
    const bar = get("video-progress", HTMLProgressElement);
    if (job?.duration && job.state === "running") bar.value = Math.min(1, job.time / job.duration);
    else bar.removeAttribute("value");
    const state = this.sending ? t("video.state.receiving") : job ? t(`video.state.${job.state}`) : "";
    const facts = [state, job && job.frames > 0 ? t("video.frames", { count: number(job.frames), time: durationText(job.time) }) : ""];
    const text = facts.filter((part) => part !== "").join(" · ");
    if (get("video-state").textContent !== text) get("video-state").textContent = text;
    get("video-results").hidden = this.results.frames.length === 0;
    this.timeline.show(this.results);
    this.#counts(job);
  }

  /** @param {Video | null} job */
  #counts(job) {
    const lines = job?.counts.lines.map((line) => [line.name, t("streams.lineCount", { in: line.in, out: line.out })]) ?? [];
    const zones = job?.counts.zones.map((zone) => [zone.name, zoneText(zone)]) ?? [];
    const item = (/** @type {[string, string]} */ [name, text]) => make("li", { "data-place": name }, make("span", { class: "place-name" }, name), make("span", { class: "place-count" }, text));
    get("video-counts").replaceChildren(...[...lines, ...zones].map((pair) => item(/** @type {[string, string]} */ (pair))));
  }
}

/**
 * The server's own words: those of the page are about images.
 * @param {unknown} error
 */
function told(error) {
  const said = error instanceof Problem && error.kind === "answer" ? error.details.detail : null;
  return said ? t("problem.said", { text: said }) : explain(error);
}

/** @param {Video} job */
function isFinal({ state }) {
  return state === "done" || state === "failed" || state === "cancelled";
}

/** @param {number} seconds */
function clock(seconds) {
  const whole = Math.floor(seconds);
  const tenth = Math.floor((seconds - whole) * 10);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}.${tenth}`;
}
