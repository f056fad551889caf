// Line and area charts over time as SVG, of the last two minutes unless they are told otherwise. They scale
// with the page and show the values under the pointer. A gap in the data stays a gap in the line.

import { make } from "./dom.js";
import { niceCeiling } from "./format.js";
import { GAP_SECONDS, SPAN_SECONDS } from "./history.js";
import { t } from "./i18n.js";

/**
 * @typedef {object} Series
 * @property {string} name
 * @property {string} style Class that gives the colour.
 * @property {(number | null)[]} values Parallel to the times.
 */
/**
 * @typedef {object} ChartOptions
 * @property {(value: number | null) => string} format
 * @property {number | null} [top] A fixed end of the axis.
 * @property {number} [least] The axis ends no lower than this.
 * @property {boolean} [stacked]
 * @property {TimeScale} [scale] The last two minutes if absent.
 */
/**
 * @typedef {object} TimeScale
 * @property {number} span Seconds from the left end to the last value.
 * @property {number} gap Values further apart, in seconds, are not connected.
 * @property {() => [string, string]} ends What stands below the left and the right end.
 * @property {(time: number, last: number) => string} moment What the value under the pointer is called.
 */

/** @type {TimeScale} */
const TWO_MINUTES = {
  span: SPAN_SECONDS,
  gap: GAP_SECONDS,
  ends: () => [t("monitor.ago"), t("monitor.now")],
  moment: (time, last) => {
    const seconds = Math.round(last - time);
    return seconds === 0 ? t("monitor.now") : t("monitor.secondsAgo", { count: seconds });
  },
};

const SPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 132;
const TOP = 8;
const BOTTOM = 20;

export class Chart {
  /** @param {ChartOptions} options */
  constructor(options) {
    this.options = options;
    this.scale = options.scale ?? TWO_MINUTES;
    this.width = 320;
    /** @type {number[]} */
    this.times = [];
    /** @type {Series[]} */
    this.series = [];
    this.svg = document.createElementNS(SPACE, "svg");
    this.svg.setAttribute("class", "plot");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("height", String(HEIGHT));
    this.tip = make("div", { class: "tip", "aria-hidden": "true", hidden: true });
    this.element = make("div", { class: "plot-frame" }, this.tip);
    this.element.prepend(this.svg);
    /** @type {number | null} */
    this.pointer = null;
    new ResizeObserver((entries) => {
      const width = Math.floor(entries[0]?.contentRect.width ?? 0);
      if (width > 0 && width !== this.width) {
        this.width = width;
        this.#draw();
      }
    }).observe(this.element);
    this.svg.addEventListener("pointermove", (event) => {
      this.pointer = event.offsetX;
      this.#draw();
    });
    this.svg.addEventListener("pointerleave", () => {
      this.pointer = null;
      this.#draw();
    });
  }

  /**
   * @param {number[]} times
   * @param {Series[]} series
   * @param {string} label For those who cannot see the chart.
   */
  show(times, series, label) {
    this.times = times;
    this.series = series;
    this.svg.setAttribute("aria-label", label);
    this.#draw();
  }

  #draw() {
    const { width, times } = this;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.setAttribute("width", String(width));
    const layers = this.options.stacked ? stack(this.series) : this.series.map(({ values }) => ({ low: null, high: values }));
    const top = this.options.top ?? axisTop(layers, this.options.least ?? 0);
    const end = times.at(-1) ?? 0;
    const x = (/** @type {number} */ time) => width - ((end - time) / this.scale.span) * width;
    const y = (/** @type {number} */ value) => HEIGHT - BOTTOM - (Math.min(value, top) / top) * (HEIGHT - TOP - BOTTOM);
    const parts = this.#axes(top, y);
    layers.forEach(({ low, high }, place) => {
      const style = this.series[place]?.style ?? "";
      const runs = runsOf(high, times, this.scale.gap);
      for (const run of runs) {
        const line = run.map((index) => `${x(times[index] ?? 0).toFixed(1)} ${y(high[index] ?? 0).toFixed(1)}`);
        const back = run.map((index) => `${x(times[index] ?? 0).toFixed(1)} ${y(low?.[index] ?? 0).toFixed(1)}`).reverse();
        parts.push(shape("path", { class: `area ${style}${low ? " full" : ""}`, d: `M${line.join("L")}L${back.join("L")}Z` }));
        const alone = run.length === 1;
        parts.push(shape("path", { class: `line ${style}${alone ? " alone" : ""}`, d: `M${line.join("L")}${alone ? "h.1" : ""}` }));
      }
    });
    parts.push(...this.#pointerParts(x));
    this.svg.replaceChildren(...parts);
  }

  /**
   * @param {number} top
   * @param {(value: number) => number} y
   */
  #axes(top, y) {
    const { width } = this;
    const parts = [];
    for (const value of [0, top / 2, top]) {
      parts.push(shape("line", { class: "grid", x1: 0, x2: width, y1: Math.round(y(value)) + 0.5, y2: Math.round(y(value)) + 0.5 }));
      if (value > 0) parts.push(text(this.options.format(value), 2, y(value) + 12, "start"));
    }
    const [first, last] = this.scale.ends();
    parts.push(text(first, 2, HEIGHT - 5, "start"), text(last, width - 2, HEIGHT - 5, "end"));
    return parts;
  }

  /** @param {(time: number) => number} x */
  #pointerParts(x) {
    this.tip.hidden = true;
    const { pointer, times } = this;
    if (pointer === null || times.length === 0) return [];
    const distance = (/** @type {number} */ index) => Math.abs(x(times[index] ?? 0) - pointer);
    const nearest = times.reduce((best, _, index) => (distance(index) < distance(best) ? index : best), 0);
    if (distance(nearest) > 24) return [];
    const time = times[nearest] ?? 0;
    this.tip.replaceChildren(
      make("strong", {}, this.scale.moment(time, times.at(-1) ?? 0)),
      ...this.series.map(({ name, style, values }) =>
        make("span", {}, make("i", { class: `key ${style}` }), `${name} `, make("b", {}, this.options.format(values[nearest] ?? null))),
      ),
    );
    this.tip.hidden = false;
    const left = x(time);
    this.tip.classList.toggle("left", left > this.width / 2);
    this.tip.style.insetInlineStart = `${left}px`;
    return [shape("line", { class: "cursor", x1: left, x2: left, y1: TOP, y2: HEIGHT - BOTTOM })];
  }
}

/**
 * @param {string} tag
 * @param {Record<string, string | number>} attributes
 */
function shape(tag, attributes) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

/**
 * @param {string} words
 * @param {number} x
 * @param {number} y
 * @param {"start" | "end"} anchor
 */
function text(words, x, y, anchor) {
  const element = shape("text", { x, y: y.toFixed(1), "text-anchor": anchor });
  element.textContent = words;
  return element;
}

/**
 * Stacks each series on those before it. A missing value counts as zero if others are known.
 * @param {Series[]} series
 * @returns {{ low: (number | null)[] | null, high: (number | null)[] }[]}
 */
export function stack(series) {
  const length = series[0]?.values.length ?? 0;
  const known = Array.from({ length }, (_, index) => series.some(({ values }) => values[index] != null));
  /** @type {(number | null)[]} */
  let below = known.map((some) => (some ? 0 : null));
  return series.map(({ values }) => {
    const low = below;
    const high = low.map((value, index) => (value === null ? null : value + (values[index] ?? 0)));
    below = high;
    return { low, high };
  });
}

/**
 * Runs of neighbouring indices whose values are known and close in time.
 * @param {(number | null)[]} values
 * @param {number[]} times
 * @param {number} [gap] Seconds.
 * @returns {number[][]}
 */
export function runsOf(values, times, gap = GAP_SECONDS) {
  /** @type {number[][]} */
  const runs = [];
  values.forEach((value, index) => {
    if (value === null) return;
    const last = runs.at(-1);
    const near = (times[index] ?? 0) - (times[index - 1] ?? 0) <= gap;
    if (last && last.at(-1) === index - 1 && near) last.push(index);
    else runs.push([index]);
  });
  return runs;
}

/**
 * @param {{ high: (number | null)[] }[]} layers
 * @param {number} least
 */
function axisTop(layers, least) {
  const most = Math.max(0, ...layers.flatMap(({ high }) => high.map((value) => value ?? 0)));
  return niceCeiling(Math.max(most * 1.05, least));
}
