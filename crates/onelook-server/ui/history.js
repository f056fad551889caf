// The statistics of the last two minutes: takes the server's samples (sums since the start), and gives
// rates and means between them. Bounded in size; a restarted server does not give negative rates.

/** @typedef {import("./api.js").HistorySample} HistorySample */

export const SPAN_SECONDS = 120;
/** Samples further apart than this are not connected. */
export const GAP_SECONDS = 5;
export const STAGES = /** @type {const} */ ([
  "decode",
  "queue",
  "preprocess",
  "inference",
  "postprocess",
  "encode",
]);
/** @typedef {(typeof STAGES)[number]} Stage */

/**
 * What happened between two samples.
 * @typedef {object} Sample
 * @property {number} time Seconds since the server's start, of the later one.
 * @property {number | null} throughput Images per second.
 * @property {Record<Stage, number | null>} stages Mean milliseconds of an image.
 * @property {number | null} p50 Milliseconds of a request.
 * @property {number | null} p99
 * @property {number | null} batch Mean images in a batch.
 * @property {number} queue Images that wait.
 * @property {number} queueCapacity
 * @property {number} inFlight
 * @property {number | null} cpu Per cent of the whole machine.
 * @property {number | null} processCpu Per cent of the whole machine, this server alone.
 * @property {number | null} memory Bytes of this server.
 * @property {number | null} memoryUsed Bytes of the machine.
 * @property {number | null} memoryTotal
 * @property {{ load: number | null, memory: number | null, total: number | null, power: number | null }[]} gpus
 */

/** Keeps the samples of the last two minutes. */
export class History {
  constructor() {
    /** @type {Sample[]} */
    this.samples = [];
    /** @type {HistorySample | null} */
    this.last = null;
  }

  /** Of the last sample; null without one. */
  get time() {
    return this.last?.uptime_s ?? null;
  }

  /** @param {readonly HistorySample[]} later The oldest first; those of a restarted server replace all. */
  add(later) {
    for (const sample of later) {
      if (this.last && sample.uptime_s <= this.last.uptime_s) this.clear();
      const joined = this.last !== null && sample.uptime_s - this.last.uptime_s <= GAP_SECONDS;
      this.samples.push(compare(joined ? this.last : null, sample));
      this.last = sample;
    }
    const oldest = (this.time ?? 0) - SPAN_SECONDS - 2;
    while (this.samples.length > 0 && (this.samples[0]?.time ?? 0) < oldest) this.samples.shift();
  }

  clear() {
    this.samples = [];
    this.last = null;
  }
}

/**
 * @param {HistorySample | null} before
 * @param {HistorySample} now
 * @returns {Sample}
 */
export function compare(before, now) {
  const { host, gpus, latency } = now;
  const seconds = before ? now.uptime_s - before.uptime_s : 0;
  const images = before ? now.images - before.images : 0;
  const batches = before ? now.batches - before.batches : 0;
  /** @type {Record<string, number | null>} */
  const stages = {};
  for (const stage of STAGES) stages[stage] = before ? mean(now.stages[stage], before.stages[stage]) : null;
  const cores = Math.max(1, host.cores);
  return {
    time: now.uptime_s,
    throughput: seconds > 0 ? Math.max(0, images) / seconds : null,
    stages: /** @type {Record<Stage, number | null>} */ (stages),
    p50: latency.p50_ms,
    p99: latency.p99_ms,
    batch: batches > 0 && images > 0 ? images / batches : null,
    queue: now.queue_length,
    queueCapacity: now.queue_capacity,
    inFlight: now.in_flight,
    cpu: host.cpu_percent ?? null,
    processCpu: host.process_cpu_percent == null ? null : host.process_cpu_percent / cores,
    memory: host.process_memory_bytes ?? null,
    memoryUsed: host.memory_used_bytes ?? null,
    memoryTotal: host.memory_total_bytes ?? null,
    gpus: gpus.map((gpu) => ({
      load: gpu.utilization_percent ?? null,
      memory: gpu.memory_used_bytes ?? null,
      total: gpu.memory_total_bytes ?? null,
      power: gpu.power_watts ?? null,
    })),
  };
}

/**
 * @param {{ count: number, sum_ms: number } | undefined} now
 * @param {{ count: number, sum_ms: number } | undefined} before
 */
function mean(now, before) {
  const count = (now?.count ?? 0) - (before?.count ?? 0);
  return count > 0 ? Math.max(0, (now?.sum_ms ?? 0) - (before?.sum_ms ?? 0)) / count : null;
}
