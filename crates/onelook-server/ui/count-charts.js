// What was counted at the lines and in the zones of one stream over time: a chart for each place, and the same
// numbers as a table. Asks the server only while the page is in sight.

import { countHistory } from "./api.js";
import { Chart } from "./charts.js";
import { get, make } from "./dom.js";
import { number } from "./format.js";
import { onLanguage, t } from "./i18n.js";

/** @typedef {import("./api.js").CountSample} CountSample */
/** @typedef {import("./charts.js").Series} Series */
/** @typedef {"hour" | "day" | "month"} Range */
/** @typedef {{ name: string, kind: "line" | "zone", chart: Chart, element: HTMLElement }} Panel */

const EVERY_MS = 5000;
/** The table has no more rows than this. */
const MOST_ROWS = 120;
/** @type {Record<Range, { span: number, interval: "minute" | "hour" }>} */
const RANGES = {
  hour: { span: 3600, interval: "minute" },
  day: { span: 86_400, interval: "minute" },
  month: { span: 30 * 86_400, interval: "hour" },
};

export class CountCharts {
  constructor() {
    this.stream = get("counts-stream", HTMLSelectElement);
    this.range = get("counts-range", HTMLSelectElement);
    this.visible = false;
    this.timer = 0;
    /** @type {Panel[]} */
    this.panels = [];
    this.shape = "";
    /** @type {CountSample[]} */
    this.samples = [];
    this.abort = new AbortController();
    for (const select of [this.stream, this.range]) {
      select.addEventListener("change", () => {
        this.samples = [];
        void this.#look();
      });
    }
    onLanguage(() => {
      this.shape = "";
      this.#render();
    });
  }

  /** @param {boolean} visible */
  setVisible(visible) {
    if (visible === this.visible) return;
    this.visible = visible;
    clearTimeout(this.timer);
    if (visible) void this.#look();
    else this.abort.abort();
  }

  /** @param {string[]} names Of the streams that have lines or zones. */
  setStreams(names) {
    get("counts").hidden = names.length === 0;
    const known = [...this.stream.options].map(({ value }) => value);
    if (JSON.stringify(known) === JSON.stringify(names)) return;
    const before = this.stream.value;
    this.stream.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    this.stream.value = names.includes(before) ? before : (names[0] ?? "");
    if (this.visible) void this.#look();
  }

  async #look() {
    clearTimeout(this.timer);
    this.abort.abort();
    const abort = new AbortController();
    this.abort = abort;
    const name = this.stream.value;
    if (!this.visible || name === "") return;
    try {
      const { interval, span } = RANGES[this.#range()];
      const samples = await countHistory(name, interval, abort.signal);
      if (abort.signal.aborted) return;
      const end = samples.at(-1)?.at_s ?? 0;
      this.samples = samples.filter(({ at_s }) => at_s > end - span);
      this.#render();
    } catch {
      // The list of streams tells what is wrong.
    }
    if (!abort.signal.aborted) this.timer = setTimeout(() => void this.#look(), EVERY_MS);
  }

  /** @returns {Range} */
  #range() {
    const { value } = this.range;
    return value === "day" || value === "month" ? value : "hour";
  }

  #render() {
    const { samples } = this;
    const lines = [...new Set(samples.flatMap((sample) => Object.keys(sample.lines)))];
    const zones = [...new Set(samples.flatMap((sample) => Object.keys(sample.zones)))];
    const shape = JSON.stringify([this.stream.value, this.range.value, document.documentElement.lang, lines, zones]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.panels = [...lines.map((name) => this.#panel(name, "line")), ...zones.map((name) => this.#panel(name, "zone"))];
      get("counts-charts").replaceChildren(...this.panels.map(({ element }) => element));
    }
    get("counts-empty").hidden = this.panels.length > 0;
    get("counts-details").hidden = this.panels.length === 0;
    const times = samples.map(({ at_s }) => at_s);
    for (const panel of this.panels) this.#show(panel, times);
    this.#table();
  }

  /**
   * @param {string} name
   * @param {"line" | "zone"} kind
   * @returns {Panel}
   */
  #panel(name, kind) {
    const { span, interval } = RANGES[this.#range()];
    const chart = new Chart({
      format: (value) => (value === null ? "–" : number(Math.round(value * 10) / 10)),
      least: 4,
      scale: {
        span,
        gap: interval === "minute" ? 90 : 5400,
        ends: () => [t(`counts.ago.${this.#range()}`), t("monitor.now")],
        moment: (time) => this.#moment(time),
      },
    });
    const element = make(
      "article",
      { class: "card chart", "data-chart": name },
      make("header", { class: "chart-head" }, make("h3", {}, name), make("span", { class: "big" }, "–")),
      make("p", { class: "chart-note" }, t(kind === "line" ? `counts.lineNote.${interval}` : "counts.zoneNote")),
      chart.element,
      make("ul", { class: "legend" }),
    );
    return { name, kind, chart, element };
  }

  /**
   * @param {Panel} panel
   * @param {number[]} times
   */
  #show(panel, times) {
    const { name, kind, chart, element } = panel;
    const of = (/** @type {(sample: CountSample) => number | undefined} */ value) => this.samples.map((sample) => value(sample) ?? null);
    /** @type {Series[]} */
    const series =
      kind === "line"
        ? [
            { name: t("counts.in"), style: "c-main", values: of((sample) => sample.lines[name]?.in) },
            { name: t("counts.out"), style: "c-second", values: of((sample) => sample.lines[name]?.out) },
          ]
        : [
            { name: t("counts.mean"), style: "c-main", values: of((sample) => sample.zones[name]?.mean) },
            { name: t("counts.most"), style: "c-second", values: of((sample) => sample.zones[name]?.most) },
          ];
    const sums = series.map(({ values }) => values.reduce((/** @type {number} */ sum, value) => sum + (value ?? 0), 0));
    const most = Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
    const big = kind === "line" ? t("streams.lineCount", { in: sums[0] ?? 0, out: sums[1] ?? 0 }) : chart.options.format(series[0]?.values.at(-1) ?? null);
    chart.show(times, series, t("monitor.chart", { title: name, now: big, most: chart.options.format(most) }));
    const place = element.querySelector(".big");
    if (place && place.textContent !== big) place.textContent = big;
    const items = series.map((one) => {
      const key = make("span", { class: `key ${one.style}`, "aria-hidden": "true" });
      return make("li", {}, key, `${one.name} `, make("b", {}, chart.options.format(one.values.at(-1) ?? null)));
    });
    element.querySelector(".legend")?.replaceChildren(...items);
  }

  /** @param {number} time */
  #moment(time) {
    const style = this.#range() === "hour" ? { timeStyle: "short" } : { dateStyle: "short", timeStyle: "short" };
    return new Intl.DateTimeFormat(document.documentElement.lang, /** @type {Intl.DateTimeFormatOptions} */ (style)).format(time * 1000);
  }

  #table() {
    const body = get("counts-rows");
    const rows = [];
    for (const sample of this.samples.slice(-MOST_ROWS).reverse()) {
      const lines = Object.entries(sample.lines).map(([name, { in: ins, out }]) => [name, t("streams.lineCount", { in: ins, out })]);
      const zones = Object.entries(sample.zones).map(([name, { mean, most }]) => [name, t("counts.zoneRow", { mean: number(Math.round(mean * 10) / 10), most })]);
      for (const cells of [...lines, ...zones]) rows.push([this.#moment(sample.at_s), ...cells]);
    }
    body.replaceChildren(...rows.slice(0, MOST_ROWS).map((cells) => make("tr", {}, ...cells.map((text) => make("td", {}, text)))));
  }
}
