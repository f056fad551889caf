// Requests to the server: typed responses, or a `Problem` with a text for people. On a 401, asks
// for a token once, however many requests wait for it. Keeps the token only in this tab's session
// storage.

/** @typedef {{ x1: number, y1: number, x2: number, y2: number }} Box */
/** @typedef {{ name: string, class: number, confidence: number, box: Box }} Detection */
/**
 * @typedef {object} ImageResponse
 * @property {string | null} [name]
 * @property {number} width
 * @property {number} height
 * @property {Detection[]} detections
 * @property {Record<string, number>} [speed_ms]
 * @property {ProblemDetails} [error]
 */
/** @typedef {{ model: string, request_id: string, images: ImageResponse[] }} DetectResponse */
/**
 * @typedef {object} ProblemDetails
 * @property {string} [type]
 * @property {string} [title]
 * @property {number} [status]
 * @property {string | null} [detail]
 * @property {string} [request_id]
 */
/** @typedef {"ready" | "loading" | "failed" | "unloaded"} ModelState */
/**
 * @typedef {object} Model
 * @property {string} name
 * @property {ModelState} state
 * @property {string | null} error
 * @property {string} source
 * @property {number | null} version
 * @property {boolean} default
 * @property {string | null} task
 * @property {string | null} architecture
 * @property {string[] | null} names
 * @property {number | null} classes
 * @property {number | null} stride
 * @property {[number, number] | number[] | null} image_size
 * @property {boolean | null} fixed_size
 * @property {string | null} device
 * @property {string | null} device_reason
 * @property {string | null} precision
 * @property {string | null} licence
 * @property {[string, string][] | null} notes
 * @property {number | null} load_ms
 * @property {{ length: number, capacity: number } | null} queue
 * @property {number | null} max_batch
 */
/**
 * @typedef {object} Status
 * @property {string} version
 * @property {number} uptime_s
 * @property {boolean} ready
 * @property {{ cores: number, cpu_percent?: number | null, memory_used_bytes?: number | null,
 *   memory_total_bytes?: number | null, process_cpu_percent?: number | null,
 *   process_memory_bytes?: number | null }} host
 * @property {{ name: string, utilization_percent?: number | null, memory_used_bytes?: number | null,
 *   memory_total_bytes?: number | null, power_watts?: number | null }[]} gpus
 * @property {{ in_flight: number, total: number, failed: number, rejected: number }} requests
 * @property {{ name: string, state: ModelState, images: number, batches: number,
 *   queue_length: number, queue_capacity: number,
 *   stages: Record<string, { count: number, sum_ms: number } | undefined> }[]} models
 * @property {RequestRecord[]} errors
 * @property {RequestRecord[]} slow
 */
/** @typedef {{ at_ms: number, request_id: string, method: string, path: string, status: number, ms: number, detail: string | null }} RequestRecord */
/** @typedef {{ count: number, p50_ms: number | null, p99_ms: number | null }} Latency */
/**
 * @typedef {object} HistorySample
 * @property {number} uptime_s
 * @property {Status["host"]} host
 * @property {Status["gpus"]} gpus
 * @property {number} in_flight
 * @property {number} images
 * @property {number} batches
 * @property {number} queue_length
 * @property {number} queue_capacity
 * @property {Record<string, { count: number, sum_ms: number } | undefined>} stages
 * @property {Latency} latency
 */
/** @typedef {{ interval_s: number, samples: HistorySample[], latency: Latency }} StatusHistory */
/** @typedef {"connecting" | "running" | "frozen" | "ended" | "refused" | "waiting" | "failed"} StreamState */
/** @typedef {{ name: string, start: [number, number], end: [number, number] }} LineConfig */
/** @typedef {{ name: string, corners: [number, number][], crowd?: number }} ZoneConfig */
/** @typedef {{ name: string, in: number, out: number }} LineCount */
/** @typedef {{ name: string, inside: number, entered: number, born_inside: number, most_at_once: number }} ZoneCount */
/** @typedef {{ lines: LineCount[], zones: ZoneCount[] }} StreamCounts */
/** @typedef {[number, number]} Point */
/** @typedef {{ image: Point[], metres: Point[] }} PlaneConfig */
/**
 * @typedef {object} Stream
 * @property {string} name
 * @property {string} url
 * @property {"file" | "api"} origin
 * @property {string | null} model
 * @property {LineConfig[]} lines
 * @property {ZoneConfig[]} zones
 * @property {PlaneConfig | null} plane
 * @property {{ half_life?: number } | null} heatmap
 * @property {StreamState} state
 * @property {string | null} error
 * @property {number | null} width
 * @property {number | null} height
 * @property {number} fps_in
 * @property {number} fps_out
 * @property {number | null} age_ms
 * @property {{ replaced: number, over_rate: number, too_old: number }} drops
 * @property {number} failures
 * @property {number} objects
 * @property {StreamCounts} counts
 */
/**
 * @typedef {object} StreamEvent
 * @property {number} id
 * @property {number} at_ms
 * @property {string} stream
 * @property {string} place
 * @property {"crossed" | "entered" | "left" | "crowd_started" | "crowd_ended"} event
 * @property {"in" | "out"} [direction]
 * @property {boolean} [born_inside] It was never seen outside before it was inside.
 * @property {string} [name]
 * @property {number} [track_id]
 * @property {number} [speed] Metres per second.
 * @property {string} [snapshot] Path of its JPEG.
 */
/**
 * @typedef {object} CountSample
 * @property {number} at_s
 * @property {number} frames
 * @property {Record<string, { in: number, out: number }>} lines
 * @property {Record<string, { mean: number, most: number, entered: number }>} zones
 */
/**
 * @typedef {object} Video
 * @property {string} id
 * @property {string} name
 * @property {"receiving" | "queued" | "running" | "done" | "failed" | "cancelled"} state
 * @property {string | null} error
 * @property {number} frames
 * @property {number} time
 * @property {number | null} duration
 * @property {number} results_bytes
 * @property {StreamCounts} counts
 */
/** @typedef {{ ready: boolean, models: { name: string, state: ModelState, error: string | null }[] }} Readiness */

/** Why a request failed, with the server's own message if there is one. */
export class Problem extends Error {
  /**
   * @param {"network" | "token" | "answer"} kind
   * @param {ProblemDetails} details
   * @param {number | null} retryAfter Seconds.
   */
  constructor(kind, details, retryAfter = null) {
    super(details.detail || details.title || kind);
    this.kind = kind;
    this.details = details;
    this.retryAfter = retryAfter;
  }
}

const TOKEN_KEY = "onelook.token";

/** @type {string | null} */
let heldToken = null;

/** @type {Set<() => void>} */
const tokenListeners = new Set();

/** @param {() => void} listener Called after another token was set, or none. */
export function onToken(listener) {
  tokenListeners.add(listener);
}

/** @returns {string | null} */
export function token() {
  try {
    return sessionStorage.getItem(TOKEN_KEY) ?? heldToken;
  } catch {
    return heldToken;
  }
}

/** @param {string | null} value */
export function setToken(value) {
  heldToken = value;
  try {
    if (value === null) sessionStorage.removeItem(TOKEN_KEY);
    else sessionStorage.setItem(TOKEN_KEY, value);
  } catch {
    // Without storage the token holds until the page is left.
  }
  for (const listener of tokenListeners) listener();
}

/** @type {(refused: boolean) => Promise<string | null>} */
let askForToken = async () => null;
/** @type {Promise<string | null> | null} */
let asking = null;

/**
 * Sets how to ask the user for a token; null if they decline.
 * @param {(refused: boolean) => Promise<string | null>} ask
 */
export function onTokenWanted(ask) {
  askForToken = ask;
}

/** @param {string | null} used The token that was refused. */
async function freshToken(used) {
  const current = token();
  if (current !== used && current !== null) return current;
  asking ??= askForToken(used !== null).finally(() => {
    asking = null;
  });
  const answer = await asking;
  if (answer !== null) setToken(answer);
  return answer;
}

/**
 * Sends a request with the token, which the user is asked for if the server requires one.
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function request(path, options = {}) {
  for (;;) {
    const used = token();
    const headers = new Headers(options.headers);
    if (used !== null) headers.set("Authorization", `Bearer ${used}`);
    const response = await send(path, { ...options, headers });
    if (response.status !== 401) return response;
    if ((await freshToken(used)) === null) throw new Problem("token", await details(response));
  }
}

/**
 * @param {string} path
 * @param {RequestInit} options
 */
async function send(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem("network", {});
  }
}

/**
 * @param {Response} response
 * @returns {Promise<ProblemDetails>}
 */
async function details(response) {
  const fallback = { status: response.status, title: response.statusText };
  try {
    const body = await response.json();
    return typeof body === "object" && body !== null ? { ...fallback, ...body } : fallback;
  } catch {
    return fallback;
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<unknown>}
 */
export async function json(path, options) {
  const response = await request(path, options);
  if (!response.ok) {
    const seconds = Number(response.headers.get("Retry-After"));
    throw new Problem("answer", await details(response), seconds > 0 ? seconds : null);
  }
  try {
    return await response.json();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem("network", {});
  }
}

/**
 * Sends one image to one model; returns all detections above the thresholds.
 * @param {Blob} image
 * @param {{ model: string | null, imgsz: string | null, conf: number, iou: number, maxDet: number }} options
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ model: string, found: ImageResponse }>}
 */
export async function detect(image, options, signal) {
  const query = new URLSearchParams();
  if (options.model !== null) query.set("model", options.model);
  if (options.imgsz !== null) query.set("imgsz", options.imgsz);
  query.set("conf", String(options.conf));
  query.set("iou", options.iou.toFixed(1));
  query.set("max_det", String(options.maxDet));
  const type = image.type.startsWith("image/") ? image.type : "application/octet-stream";
  const answer = /** @type {DetectResponse} */ (
    await json(`/v1/detect?${query}`, {
      method: "POST",
      headers: { "Content-Type": type, Accept: "application/json" },
      body: image,
      signal: signal ?? null,
    })
  );
  const found = answer.images[0];
  if (!found) throw new Problem("answer", {});
  if (found.error) throw new Problem("answer", found.error);
  return { model: answer.model, found };
}

/**
 * An image as JPEG, for a browser that cannot show its format: the server's answer with no box drawn.
 * @param {Blob} image
 * @param {string | null} model
 * @returns {Promise<Blob>}
 */
export async function asJpeg(image, model) {
  const query = new URLSearchParams({ conf: "1", max_det: "1" });
  if (model !== null) query.set("model", model);
  const headers = { "Content-Type": image.type.startsWith("image/") ? image.type : "application/octet-stream", Accept: "image/jpeg" };
  const response = await request(`/v1/detect?${query}`, { method: "POST", headers, body: image });
  if (!response.ok) throw new Problem("answer", await details(response));
  return response.blob();
}

/**
 * The states of the server and its models, which need no token.
 * @param {AbortSignal} signal
 * @returns {Promise<Readiness>}
 */
export async function readiness(signal) {
  const response = await send("/readyz", { signal });
  return /** @type {Readiness} */ (await response.json());
}

/** @returns {Promise<Model[]>} */
export async function models() {
  const answer = /** @type {{ models: Model[] }} */ (await json("/v1/models"));
  return answer.models;
}

/**
 * @param {string} name
 * @param {"load" | "unload"} action
 * @returns {Promise<Model>}
 */
export async function change(name, action) {
  const path = `/v1/models/${encodeURIComponent(name)}/${action}`;
  return /** @type {Model} */ (await json(path, { method: "POST" }));
}

/**
 * @param {AbortSignal} [signal]
 * @returns {Promise<Status>}
 */
export async function status(signal) {
  return /** @type {Status} */ (await json("/v1/status", { signal: signal ?? null }));
}

/**
 * The server's last two minutes.
 * @param {string | null} model Only this one, or all together.
 * @param {number | null} after Only later samples, by `uptime_s`.
 * @param {AbortSignal} [signal]
 * @returns {Promise<StatusHistory>}
 */
export async function history(model, after, signal) {
  const query = new URLSearchParams();
  if (model !== null) query.set("model", model);
  if (after !== null) query.set("after", String(after));
  return /** @type {StatusHistory} */ (await json(`/v1/status/history?${query}`, { signal: signal ?? null }));
}

/** @returns {Promise<{ streams: Stream[], capacity: number }>} */
export async function streams() {
  return /** @type {{ streams: Stream[], capacity: number }} */ (await json("/v1/streams"));
}

/**
 * @param {{ name: string, url: string, fps?: number }} settings
 * @returns {Promise<Stream>}
 */
export async function addStream(settings) {
  return /** @type {Stream} */ (await json("/v1/streams", withJson("POST", settings)));
}

/**
 * @param {string} name
 * @param {{ lines?: LineConfig[], zones?: ZoneConfig[], plane?: PlaneConfig | null, heatmap?: object | null }} settings
 * @returns {Promise<Stream>}
 */
export async function changeStream(name, settings) {
  return /** @type {Stream} */ (await json(`/v1/streams/${encodeURIComponent(name)}`, withJson("PATCH", settings)));
}

/** @param {string} name */
export async function removeStream(name) {
  const response = await request(`/v1/streams/${encodeURIComponent(name)}`, { method: "DELETE" });
  if (!response.ok) throw new Problem("answer", await details(response));
}

/**
 * The last events of all streams, the newest first.
 * @param {string} kind Only of this kind; all if empty.
 * @returns {Promise<StreamEvent[]>}
 */
export async function streamEvents(kind) {
  const query = new URLSearchParams({ limit: "100" });
  if (kind !== "") query.set("kind", kind);
  const answer = /** @type {{ events: StreamEvent[] }} */ (await json(`/v1/streams/events?${query}`));
  return answer.events;
}

/**
 * Events of all streams as they happen, until the signal.
 * @param {(event: StreamEvent) => void} onEvent
 * @param {AbortSignal} signal
 */
export async function listenToEvents(onEvent, signal) {
  const response = await request("/v1/streams/events", { headers: { Accept: "text/event-stream" }, signal });
  if (!response.ok || !response.body) throw new Problem("answer", await details(response));
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const messages = (text + value).split("\n\n");
    text = messages.pop() ?? "";
    for (const message of messages) {
      const data = message.split("\n").find((line) => line.startsWith("data:"));
      if (data) onEvent(/** @type {StreamEvent} */ (JSON.parse(data.slice(5))));
    }
  }
}

/**
 * What was counted over time, the oldest first.
 * @param {string} name
 * @param {"minute" | "hour"} interval
 * @param {AbortSignal} signal
 * @returns {Promise<CountSample[]>}
 */
export async function countHistory(name, interval, signal) {
  const answer = /** @type {{ samples: CountSample[] }} */ (await json(`/v1/streams/${encodeURIComponent(name)}/history?interval=${interval}`, { signal }));
  return answer.samples;
}

/**
 * An image that needs the token.
 * @param {string} path
 * @returns {Promise<Blob>}
 */
export async function imageOf(path) {
  const response = await request(path);
  if (!response.ok) throw new Problem("answer", await details(response));
  return response.blob();
}

/**
 * Sends a video; it is run in the background.
 * @param {File} file
 * @param {{ fps?: number, model?: string, lines: LineConfig[], zones: ZoneConfig[] }} settings
 * @param {AbortSignal} signal
 * @returns {Promise<Video>}
 */
export async function addVideo(file, settings, signal) {
  const query = new URLSearchParams({ name: file.name.slice(-60), settings: JSON.stringify(settings) });
  const headers = { "Content-Type": "application/octet-stream" };
  return /** @type {Video} */ (await json(`/v1/videos?${query}`, { method: "POST", headers, body: file, signal }));
}

/**
 * @param {string} id
 * @returns {Promise<Video>}
 */
export async function video(id) {
  return /** @type {Video} */ (await json(`/v1/videos/${encodeURIComponent(id)}`));
}

/**
 * Whole lines of a video's results from this byte on.
 * @param {string} id
 * @param {number} offset
 * @returns {Promise<Uint8Array>}
 */
export async function videoResults(id, offset) {
  const response = await request(`/v1/videos/${encodeURIComponent(id)}/results?offset=${offset}`);
  if (!response.ok) throw new Problem("answer", await details(response));
  return new Uint8Array(await response.arrayBuffer());
}

/** @param {string} id */
export async function removeVideo(id) {
  await request(`/v1/videos/${encodeURIComponent(id)}`, { method: "DELETE" });
}

/**
 * @param {string} method
 * @param {unknown} value
 * @returns {RequestInit}
 */
function withJson(method, value) {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(value) };
}
