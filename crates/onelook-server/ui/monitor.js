// The Monitor page: asks the server for its figures once a second while the page is visible, and shows
// charts and numbers of the last two minutes, the last errors and the slowest requests.

import { history, status } from "./api.js";
import { Chart } from "./charts.js";
import { get, make, message } from "./dom.js";
import { bytes, duration, milliseconds, number, percent } from "./format.js";
import { History, STAGES } from "./history.js";
import { onLanguage, t } from "./i18n.js";
import { showRequests } from "./requests.js";
import { explain } from "./problem.js";

/** @typedef {import("./api.js").Status} Status */
/** @typedef {import("./api.js").Latency} Latency */
/** @typedef {import("./history.js").Sample} Sample */
/** @typedef {import("./charts.js").Series} Series */
/** @typedef {import("./i18n.js").Key} Key */
/** @typedef {{ title: () => string, big: (last: Sample | undefined) => string, series: (samples: Sample[]) => Series[], chart: Chart, note: (last: Sample | undefined) => string }} Panel */

const EVERY_MS = 1000;
const MIB = 1024 * 1024;

export class MonitorPage {
  constructor() {
    this.history = new History();
    /** @type {Status | null} */
    this.status = null;
    this.timer = 0;
    this.visible = false;
    this.lost = false;
    /** @type {Latency | null} */
    this.latency = null;
    /** Called when the server answered, or did not. */
    this.onAnswer = () => {};
    /** @type {Panel[]} */
    this.panels = [];
    this.shape = "";
    this.which = get("monitor-model", HTMLSelectElement);
    this.which.addEventListener("change", () => {
      this.history.clear();
      void this.#look();
    });
    document.addEventListener("visibilitychange", () => this.#schedule(0));
    onLanguage(() => {
      this.shape = "";
      this.#render();
    });
  }

  async enter() {
    this.visible = true;
    this.#schedule(0);
  }

  leave() {
    this.visible = false;
    clearTimeout(this.timer);
  }

  /** @param {number} delay */
  #schedule(delay) {
    clearTimeout(this.timer);
    if (!this.visible || document.visibilityState !== "visible") return;
    this.timer = setTimeout(() => void this.#look(), delay);
  }

  async #look() {
    clearTimeout(this.timer);
    const began = performance.now();
    const lost = this.lost;
    try {
      const model = this.which.value || null;
      const signal = AbortSignal.timeout(10_000);
      const [now, past] = await Promise.all([status(signal), history(model, this.history.time, signal)]);
      if (model !== (this.which.value || null)) return this.#schedule(0);
      this.#take(now, past);
      this.lost = false;
    } catch (error) {
      const wants = error instanceof Error && "kind" in error && error.kind === "token";
      message(get("monitor-problem"), wants ? explain(error) : t("monitor.lost"));
      if (wants) return;
      this.lost = true;
    }
    if (lost !== this.lost) this.onAnswer();
    this.#schedule(Math.max(0, EVERY_MS - (performance.now() - began)));
  }

  /**
   * @param {Status} now
   * @param {import("./api.js").StatusHistory} past
   */
  #take(now, past) {
    this.status = now;
    // A restarted server has no later samples than those of the one before.
    if (now.uptime_s < (this.history.time ?? 0)) this.history.clear();
    this.history.add(past.samples);
    this.latency = past.latency;
    message(get("monitor-problem"), "");
    this.#render();
  }

  #render() {
    if (!this.status) return;
    this.#build(this.status);
    const { samples } = this.history;
    const last = samples.at(-1);
    const times = samples.map((sample) => sample.time);
    for (const panel of this.panels) {
      const series = panel.series(samples);
      panel.chart.show(times, series, describe(panel, series, last));
      const card = /** @type {HTMLElement} */ (panel.chart.element.parentElement);
      put(card, ".big", panel.big(last));
      put(card, ".chart-note", panel.note(last));
      const legend = card.querySelector(".legend");
      legend?.replaceChildren(...(series.length > 1 ? series.map((entry) => legendItem(entry, panel.chart.options.format)) : []));
    }
    this.#facts(this.status, last);
    showRequests(get("errors"), this.status.errors, t("monitor.noErrors"));
    showRequests(get("slow"), this.status.slow, t("monitor.noSlow"));
  }

  /** @param {Status} answer */
  #build(answer) {
    const names = answer.models.map((model) => model.name);
    const shape = JSON.stringify([names, answer.gpus.map((gpu) => gpu.name)]);
    if (shape === this.shape) return;
    this.shape = shape;
    const before = this.which.value;
    this.which.replaceChildren(
      make("option", { value: "" }, t("monitor.all")),
      ...names.map((name) => make("option", { value: name }, name)),
    );
    this.which.value = names.includes(before) ? before : "";
    this.panels = [throughput(), percentiles(), stageTimes(), queue(), cpu(answer), memory(), ...gpus(answer)];
    const cards = this.panels.map(card);
    if (answer.gpus.length === 0) cards.push(noGpu());
    get("charts").replaceChildren(...cards);
  }

  /**
   * @param {Status} answer
   * @param {Sample | undefined} last
   */
  #facts(answer, last) {
    const { total, failed, rejected, in_flight } = answer.requests;
    /** @type {[Key, string][]} */
    const facts = [
      ["monitor.uptime", duration(answer.uptime_s)],
      ["monitor.total", number(total)],
      ["monitor.inFlight", number(in_flight)],
      ["monitor.failed", number(failed)],
      ["monitor.rejected", number(rejected)],
      ["monitor.batch", number(last?.batch)],
      ["monitor.p50", milliseconds(this.latency?.p50_ms)],
      ["monitor.p99", milliseconds(this.latency?.p99_ms)],
    ];
    get("facts").replaceChildren(
      ...facts.map(([key, value]) => make("div", {}, make("dt", {}, t(key)), make("dd", {}, value))),
    );
  }
}

/**
 * @param {HTMLElement} card
 * @param {string} selector
 * @param {string} text
 */
function put(card, selector, text) {
  const place = card.querySelector(selector);
  if (place && place.textContent !== text) place.textContent = text;
}

/** @param {Panel} panel */
function card(panel) {
  return make(
    "article",
    { class: "card chart" },
    make("header", { class: "chart-head" }, make("h2", {}, panel.title()), make("span", { class: "big" }, "–")),
    make("p", { class: "chart-note" }),
    panel.chart.element,
    make("ul", { class: "legend" }),
  );
}

function noGpu() {
  return make(
    "article",
    { class: "card chart idle" },
    make("header", { class: "chart-head" }, make("h2", {}, t("monitor.gpu")), make("span", { class: "big" }, "–")),
    make("p", { class: "chart-note" }, t("monitor.noGpu")),
  );
}

/**
 * @param {Series} series
 * @param {(value: number | null) => string} format
 */
function legendItem(series, format) {
  const key = make("span", { class: `key ${series.style}`, "aria-hidden": "true" });
  return make("li", {}, key, `${series.name} `, make("b", {}, format(series.values.at(-1) ?? null)));
}

/**
 * @param {Panel} panel
 * @param {Series[]} series
 * @param {Sample | undefined} last
 */
function describe(panel, series, last) {
  const most = Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)));
  return t("monitor.chart", { title: panel.title(), now: panel.big(last), most: panel.chart.options.format(most) });
}

/** @returns {Panel} */
function throughput() {
  const format = (/** @type {number | null | undefined} */ value) => `${number(value)} ${t("monitor.throughputUnit")}`;
  return {
    title: () => t("monitor.throughput"),
    big: (last) => format(last?.throughput),
    note: () => "",
    series: (samples) => [{ name: t("monitor.throughput"), style: "c-main", values: samples.map((sample) => sample.throughput) }],
    chart: new Chart({ format: (value) => number(value), least: 1 }),
  };
}

/** @returns {Panel} */
function percentiles() {
  return {
    title: () => t("monitor.latency"),
    big: (last) => milliseconds(last?.p50),
    note: () => t("monitor.latencyNote"),
    series: (samples) => [
      { name: "p50", style: "c-main", values: samples.map((sample) => sample.p50) },
      { name: "p99", style: "c-second", values: samples.map((sample) => sample.p99) },
    ],
    chart: new Chart({ format: milliseconds, least: 10 }),
  };
}

/** @returns {Panel} */
function stageTimes() {
  return {
    title: () => t("monitor.stages"),
    big: (last) => milliseconds(last && sum(Object.values(last.stages))),
    note: (last) => (last && sum(Object.values(last.stages)) === null ? t("monitor.idle") : ""),
    series: (samples) =>
      STAGES.map((stage) => ({
        name: t(`stage.${stage}`),
        style: `stage-${stage}`,
        values: samples.map((sample) => sample.stages[stage]),
      })),
    chart: new Chart({ format: milliseconds, stacked: true, least: 10 }),
  };
}

/** @param {(number | null)[]} values */
function sum(values) {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((a, b) => a + b, 0);
}

/** @returns {Panel} */
function queue() {
  return {
    title: () => t("monitor.queue"),
    big: (last) => number(last?.queue),
    note: (last) => (last ? t("monitor.ofCapacity", { count: last.queueCapacity }) : ""),
    series: (samples) => [
      { name: t("monitor.waiting"), style: "c-main", values: samples.map((sample) => sample.queue) },
      { name: t("monitor.inFlight"), style: "c-second", values: samples.map((sample) => sample.inFlight) },
    ],
    chart: new Chart({ format: (value) => (value !== null && !Number.isInteger(value) ? "" : number(value)), least: 4 }),
  };
}

/**
 * @param {Status} answer
 * @returns {Panel}
 */
function cpu(answer) {
  return {
    title: () => t("monitor.cpu"),
    big: (last) => percent(last?.cpu),
    note: () => t("monitor.cores", { count: answer.host.cores }),
    series: (samples) => [
      { name: t("monitor.server"), style: "c-main", values: samples.map((sample) => sample.processCpu) },
      { name: t("monitor.host"), style: "c-second", values: samples.map((sample) => sample.cpu) },
    ],
    chart: new Chart({ format: percent, top: 100 }),
  };
}

/** @returns {Panel} */
function memory() {
  return {
    title: () => t("monitor.memory"),
    big: (last) => bytes(last?.memory),
    note: (last) => (last ? t("monitor.memoryHost", { used: bytes(last.memoryUsed), total: bytes(last.memoryTotal) }) : ""),
    series: (samples) => [
      { name: t("monitor.server"), style: "c-main", values: samples.map((sample) => (sample.memory === null ? null : sample.memory / MIB)) },
    ],
    chart: new Chart({ format: (value) => bytes(value === null ? null : value * MIB), least: 64 }),
  };
}

/**
 * @param {Status} answer
 * @returns {Panel[]}
 */
function gpus(answer) {
  return answer.gpus.flatMap((gpu, place) => {
    const values = (/** @type {"load" | "memory"} */ what, /** @type {Sample[]} */ samples) =>
      samples.map((sample) => sample.gpus[place]?.[what] ?? null);
    /** @type {Panel} */
    const load = {
      title: () => t("monitor.gpu"),
      big: (last) => percent(last?.gpus[place]?.load),
      note: (last) => {
        const power = last?.gpus[place]?.power;
        return power == null ? gpu.name : `${gpu.name}, ${number(power)} W`;
      },
      series: (samples) => [{ name: gpu.name, style: "c-main", values: values("load", samples) }],
      chart: new Chart({ format: percent, top: 100 }),
    };
    const total = gpu.memory_total_bytes;
    /** @type {Panel} */
    const used = {
      title: () => t("monitor.gpuMemory"),
      big: (last) => bytes(last?.gpus[place]?.memory),
      note: () => (total == null ? "" : t("monitor.ofTotal", { total: bytes(total) })),
      series: (samples) => [{ name: gpu.name, style: "c-main", values: values("memory", samples) }],
      chart: new Chart({ format: bytes, top: total ?? null }),
    };
    return [load, used];
  });
}
