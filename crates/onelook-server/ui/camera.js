// The browser's camera: sends one frame after the other and reports each with its boxes. Only one
// request is in flight, so that a slow server is not overloaded. `stop` always turns the camera
// off.

import { detect, Problem } from "./api.js";
import { CANDIDATES } from "./nms.js";
import { aborted } from "./problem.js";

/** @typedef {import("./api.js").ImageResponse} ImageResponse */
/** @typedef {import("./i18n.js").Key} Key */

const RATE_OVER_MS = 3000;
const PAUSE_AFTER_ERROR_MS = 1000;
const LONGEST_PAUSE_MS = 10_000;

export class Camera {
  constructor() {
    this.video = document.createElement("video");
    this.video.muted = true;
    this.video.playsInline = true;
    /** @type {MediaStream | null} */
    this.stream = null;
    /** @type {AbortController | null} */
    this.abort = null;
    /** @type {number[]} */
    this.arrivals = [];
    /** @type {(frame: { image: HTMLCanvasElement, blob: Blob, found: ImageResponse, fps: number, latency: number }) => void} */
    this.onFrame = () => {};
    /** @type {(error: unknown) => void} */
    this.onError = () => {};
    this.onEnd = () => {};
  }

  get running() {
    return this.stream !== null;
  }

  /**
   * @param {string | null} deviceId
   * @param {() => { model: string | null, imgsz: string | null }} options Called before each frame.
   * @returns {Promise<Key | null>} What is in the way, if anything.
   */
  async start(deviceId, options) {
    this.stop();
    if (!navigator.mediaDevices?.getUserMedia) return "camera.insecure";
    /** @type {MediaTrackConstraints} */
    const video = { width: { ideal: 1280 }, height: { ideal: 720 } };
    if (deviceId) video.deviceId = { exact: deviceId };
    else video.facingMode = "environment";
    try {
      this.stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    } catch (error) {
      return obstacle(error);
    }
    this.stream.getVideoTracks()[0]?.addEventListener("ended", () => {
      this.stop();
      this.onEnd();
    });
    this.video.srcObject = this.stream;
    await this.video.play().catch(() => {});
    this.abort = new AbortController();
    void this.#loop(this.abort.signal, options);
    return null;
  }

  stop() {
    this.abort?.abort();
    this.abort = null;
    for (const track of this.stream?.getTracks() ?? []) track.stop();
    this.stream = null;
    this.video.srcObject = null;
    this.arrivals = [];
  }

  /** @returns {Promise<MediaDeviceInfo[]>} */
  async devices() {
    const all = (await navigator.mediaDevices?.enumerateDevices()) ?? [];
    return all.filter((device) => device.kind === "videoinput");
  }

  /** @returns {string | undefined} */
  get deviceId() {
    return this.stream?.getVideoTracks()[0]?.getSettings().deviceId;
  }

  /**
   * @param {AbortSignal} signal
   * @param {() => { model: string | null, imgsz: string | null }} options
   */
  async #loop(signal, options) {
    while (!signal.aborted) {
      try {
        const frame = document.hidden ? null : await this.#grab();
        if (!frame) await pause(50);
        else await this.#detect(frame.image, frame.blob, options(), signal);
      } catch (error) {
        if (aborted(error) || signal.aborted) return;
        this.onError(error);
        const wanted = error instanceof Problem ? (error.retryAfter ?? 0) * 1000 : 0;
        await pause(Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_AFTER_ERROR_MS, wanted)));
      }
    }
  }

  /**
   * @param {HTMLCanvasElement} image
   * @param {Blob} blob
   * @param {{ model: string | null, imgsz: string | null }} options
   * @param {AbortSignal} signal
   */
  async #detect(image, blob, options, signal) {
    const sent = performance.now();
    const { found } = await detect(blob, { ...options, ...CANDIDATES }, signal);
    if (signal.aborted) return;
    const now = performance.now();
    this.arrivals = [...this.arrivals.filter((time) => now - time < RATE_OVER_MS), now];
    const [first] = this.arrivals;
    const fps = first === undefined || now === first ? 0 : ((this.arrivals.length - 1) * 1000) / (now - first);
    this.onFrame({ image, blob, found, fps, latency: now - sent });
  }

  /** @returns {Promise<{ image: HTMLCanvasElement, blob: Blob } | null>} */
  async #grab() {
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth || !videoHeight || this.video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return null;
    const image = document.createElement("canvas");
    image.width = videoWidth;
    image.height = videoHeight;
    image.getContext("2d")?.drawImage(this.video, 0, 0);
    const blob = await new Promise((/** @type {(blob: Blob | null) => void} */ done) =>
      image.toBlob(done, "image/jpeg", 0.9),
    );
    return blob && { image, blob };
  }
}

/** @param {number} time Milliseconds. */
function pause(time) {
  return new Promise((done) => setTimeout(done, time));
}

/**
 * @param {unknown} error
 * @returns {Key}
 */
function obstacle(error) {
  const name = error instanceof DOMException ? error.name : "";
  if (name === "NotAllowedError" || name === "SecurityError") return "camera.denied";
  if (name === "NotFoundError" || name === "OverconstrainedError") return "camera.missing";
  return "camera.busy";
}
