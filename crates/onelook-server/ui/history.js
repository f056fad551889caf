// The statistics of the last two minutes: takes responses of /v1/status (sums since the start), and
// gives rates and means between them. Bounded in size; a restarted server does not give negative
// rates.

/** @typedef {import("./api.js").Status} Status */

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
 * @property {number} time Seconds, of the later look.
 * @property {number | null} throughput Images per second.
 * @property {Record<Stage, number | null>} stages Mean milliseconds of an image.
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
    /** @type {{ time: number, status: Status } | null} */
    this.last = null;
  }

  /**
   * @param {number} time Seconds; must not fall.
   * @param {Status} status
   * @param {string | null} model Only this model, or all.
   */
  add(time, status, model) {
    const before = this.last;
    const joined = before !== null && status.uptime_s >= before.status.uptime_s && time - before.time <= GAP_SECONDS;
    this.samples.push(compare(joined ? before : null, { time, status }, model));
    this.last = { time, status };
    const oldest = time - SPAN_SECONDS - 2;
    while (this.samples.length > 0 && (this.samples[0]?.time ?? 0) < oldest) this.samples.shift();
  }

  clear() {
    this.samples = [];
    this.last = null;
  }
}

/**
 * @param {{ time: number, status: Status } | null} before
 * @param {{ time: number, status: Status }} now
 * @param {string | null} model
 * @returns {Sample}
 */
export function compare(before, now, model) {
  const { host, gpus, requests } = now.status;
  const sums = total(now.status, model);
  const past = before && total(before.status, model);
  const seconds = before ? now.time - before.time : 0;
  const images = past ? sums.images - past.images : 0;
  const batches = past ? sums.batches - past.batches : 0;
  /** @type {Record<string, number | null>} */
  const stages = {};
  for (const stage of STAGES) stages[stage] = mean(sums.stages[stage], past?.stages[stage]);
  const cores = Math.max(1, host.cores);
  return {
    time: now.time,
    throughput: past && seconds > 0 ? Math.max(0, images) / seconds : null,
    stages: /** @type {Record<Stage, number | null>} */ (stages),
    batch: batches > 0 && images > 0 ? images / batches : null,
    queue: sums.queue,
    queueCapacity: sums.capacity,
    inFlight: requests.in_flight,
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
 * @param {Status} status
 * @param {string | null} model
 */
function total(status, model) {
  const sums = {
    images: 0,
    batches: 0,
    queue: 0,
    capacity: 0,
    stages: /** @type {Record<Stage, { count: number, sum_ms: number }>} */ ({}),
  };
  for (const stage of STAGES) sums.stages[stage] = { count: 0, sum_ms: 0 };
  for (const entry of status.models) {
    if (model !== null && entry.name !== model) continue;
    sums.images += entry.images;
    sums.batches += entry.batches;
    sums.queue += entry.queue_length;
    sums.capacity += entry.queue_capacity;
    for (const stage of STAGES) {
      sums.stages[stage].count += entry.stages[stage]?.count ?? 0;
      sums.stages[stage].sum_ms += entry.stages[stage]?.sum_ms ?? 0;
    }
  }
  return sums;
}

/**
 * @param {{ count: number, sum_ms: number }} now
 * @param {{ count: number, sum_ms: number } | undefined} before
 */
function mean(now, before) {
  if (!before) return null;
  const count = now.count - before.count;
  return count > 0 ? Math.max(0, now.sum_ms - before.sum_ms) / count : null;
}
