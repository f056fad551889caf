// The timeline of a video: a row for each class with when it is seen and how many at one time, and the events of lines
// and zones. A click tells the time.

import { classColour } from "./colour.js";
import { make } from "./dom.js";
import { t } from "./i18n.js";

/** @typedef {import("./video-results.js").VideoResults} VideoResults */

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 28;
/** Most parts of the video, each a bar; no more than frames, so that there are no gaps. */
const MOST_BINS = 300;
const MOST_ROWS = 20;

export class VideoTimeline {
  /** @param {(time: number) => void} onTime */
  constructor(onTime) {
    this.onTime = onTime;
    this.element = make("div", { class: "timeline" });
    this.duration = 0;
    this.bins = 1;
    this.cursor = make("div", { class: "timeline-cursor", "aria-hidden": "true", hidden: true });
  }

  /** @param {VideoResults} results */
  show(results) {
    this.duration = results.duration;
    this.bins = Math.max(1, Math.min(MOST_BINS, results.frames.length));
    const rows = results.rows(this.bins).slice(0, MOST_ROWS);
    const elements = rows.map((row) => {
      const most = Math.max(1, ...row.bins);
      const label = row.tracks > 0 ? t("video.row", { name: row.name, tracks: row.tracks, most }) : t("video.rowUntracked", { name: row.name, most });
      const bars = row.bins.map((value, index) => (value === 0 ? null : bar(index, value / most, classColour(row.class))));
      return this.#row(row.name, label, `${row.tracks > 0 ? row.tracks : most}`, bars);
    });
    if (results.events.length > 0) {
      const marks = results.events.map(({ time }) => bar(Math.min(this.bins - 1, Math.floor((time / Math.max(this.duration, 0.001)) * this.bins)), 1, "var(--accent)"));
      elements.push(this.#row(t("video.events"), t("video.eventsRow", { count: results.events.length }), `${results.events.length}`, marks));
    }
    this.element.replaceChildren(...elements, this.cursor);
    this.cursor.hidden = rows.length === 0;
  }

  /** @param {number} time Seconds. */
  mark(time) {
    const part = this.duration > 0 ? Math.min(1, time / this.duration) : 0;
    this.cursor.style.setProperty("--part", String(part));
  }

  /**
   * @param {string} name
   * @param {string} label
   * @param {string} many
   * @param {(SVGElement | null)[]} bars
   */
  #row(name, label, many, bars) {
    const svg = document.createElementNS(SPACE, "svg");
    const attributes = { viewBox: `0 0 ${this.bins} ${HEIGHT}`, preserveAspectRatio: "none", height: HEIGHT, role: "img", "aria-label": label };
    for (const [key, value] of Object.entries(attributes)) svg.setAttribute(key, String(value));
    svg.append(...bars.filter((one) => one !== null));
    svg.addEventListener("click", (event) => {
      const frame = svg.getBoundingClientRect();
      this.onTime(((event.clientX - frame.left) / frame.width) * this.duration);
    });
    return make("div", { class: "timeline-row", title: label, "data-row": name }, make("span", { class: "timeline-name" }, name), svg, make("span", { class: "timeline-many" }, many));
  }
}

/**
 * @param {number} index
 * @param {number} part 0 to 1.
 * @param {string} colour
 */
function bar(index, part, colour) {
  const rect = document.createElementNS(SPACE, "rect");
  const height = Math.max(3, part * (HEIGHT - 4));
  for (const [key, value] of Object.entries({ x: index, y: HEIGHT - 2 - height, width: 1.05, height })) rect.setAttribute(key, String(value));
  rect.style.fill = colour;
  return rect;
}
