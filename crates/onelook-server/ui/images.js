// The added images and their detections. Sends one request at a time, for all candidates above a
// low threshold, and the shown image first. No image is sent twice to the same model at the same
// size.

import { asJpeg, detect } from "./api.js";
import { CANDIDATES } from "./nms.js";
import { aborted } from "./problem.js";

/** @typedef {import("./api.js").Detection} Detection */
/**
 * @typedef {object} ImageItem
 * @property {number} id
 * @property {string} name
 * @property {Blob} blob
 * @property {string} address Of the thumbnail.
 * @property {Blob} visible What the browser can show: the blob, or what the server made of it.
 * @property {ImageBitmap | null} bitmap Only of the image that shows: bitmaps are large.
 * @property {boolean} drawable False once the browser has failed to show the format.
 * @property {number} width
 * @property {number} height
 * @property {"waiting" | "working" | "done" | "failed"} state
 * @property {Detection[]} candidates
 * @property {Record<string, number>} speed
 * @property {string | null} model The model that answered.
 * @property {unknown} error
 */

export class ImageQueue {
  constructor() {
    /** @type {ImageItem[]} */
    this.list = [];
    /** @type {ImageItem | null} */
    this.current = null;
    /** @type {{ model: string | null, imgsz: string | null }} */
    this.options = { model: null, imgsz: null };
    /** @type {(image: ImageItem) => void} */
    this.onChange = () => {};
    this.nextId = 1;
    this.running = false;
    this.held = true;
    /** @type {ImageBitmap[]} */
    this.discarded = [];
    /** @type {AbortController | null} */
    this.abort = null;
  }

  /**
   * @param {Blob} blob
   * @param {string} name
   * @returns {ImageItem}
   */
  add(blob, name) {
    /** @type {ImageItem} */
    const image = {
      id: this.nextId++,
      name,
      blob,
      visible: blob,
      address: URL.createObjectURL(blob),
      bitmap: null,
      drawable: true,
      width: 0,
      height: 0,
      state: "waiting",
      candidates: [],
      speed: {},
      model: null,
      error: null,
    };
    this.list.push(image);
    return image;
  }

  /**
   * Decodes an image for drawing, unless another one was selected meanwhile.
   * @param {ImageItem} image
   */
  async decode(image) {
    if (image.bitmap || !image.drawable) return;
    const bitmap = await this.toBitmap(image);
    if (this.current !== image || image.bitmap) {
      bitmap?.close();
      return;
    }
    image.bitmap = bitmap;
    image.drawable = bitmap !== null;
    if (bitmap) [image.width, image.height] = [bitmap.width, bitmap.height];
  }

  /**
   * By way of the server if the browser cannot show the format, such as TIFF.
   * @param {ImageItem} image
   * @returns {Promise<ImageBitmap | null>}
   */
  async toBitmap(image) {
    const bitmap = await createImageBitmap(image.visible).catch(() => null);
    if (bitmap || image.visible !== image.blob) return bitmap;
    const jpeg = await asJpeg(image.blob, this.options.model).catch(() => null);
    if (!jpeg || !this.list.includes(image)) return null;
    URL.revokeObjectURL(image.address);
    image.visible = jpeg;
    image.address = URL.createObjectURL(jpeg);
    this.onChange(image);
    return createImageBitmap(jpeg).catch(() => null);
  }

  /** Releases all bitmaps but the shown one. Call it when no other is drawn any more. */
  tidy() {
    for (const bitmap of this.discarded.splice(0)) bitmap.close();
    for (const image of this.list) {
      if (image === this.current) continue;
      image.bitmap?.close();
      image.bitmap = null;
    }
  }

  /** @param {ImageItem} image */
  remove(image) {
    URL.revokeObjectURL(image.address);
    if (image.bitmap) this.discarded.push(image.bitmap);
    const place = this.list.indexOf(image);
    this.list.splice(place, 1);
    if (image.state === "working") this.abort?.abort();
    if (this.current === image) this.current = this.list[place] ?? this.list[place - 1] ?? null;
  }

  /**
   * For another model or size: sends all images again.
   * @param {{ model: string | null, imgsz: string | null }} options
   */
  setOptions(options) {
    if (options.model === this.options.model && options.imgsz === this.options.imgsz) return;
    this.options = options;
    for (const image of this.list) image.state = "waiting";
    this.abort?.abort();
    void this.run();
  }

  /**
   * The image before or behind the current one.
   * @param {1 | -1} step
   * @returns {ImageItem | null}
   */
  neighbour(step) {
    const place = this.current ? this.list.indexOf(this.current) : -1;
    return place < 0 ? null : (this.list[place + step] ?? null);
  }

  /** @param {ImageItem} image */
  retry(image) {
    image.state = "waiting";
    void this.run();
  }

  /** Sends the failed images again. */
  retryFailed() {
    for (const image of this.list) {
      if (image.state !== "failed") continue;
      image.state = "waiting";
      image.drawable = true;
    }
    void this.run();
  }

  /** Starts sending requests, once the model is known. */
  release() {
    this.held = false;
    void this.run();
  }

  /** Works through what waits; more calls than one do no harm. */
  async run() {
    if (this.running || this.held) return;
    this.running = true;
    for (let next = this.#next(); next; next = this.#next()) await this.#detect(next);
    this.running = false;
  }

  #next() {
    if (this.current?.state === "waiting") return this.current;
    return this.list.find((image) => image.state === "waiting") ?? null;
  }

  /** @param {ImageItem} image */
  async #detect(image) {
    image.state = "working";
    image.error = null;
    this.onChange(image);
    const { signal } = (this.abort = new AbortController());
    try {
      const { found, model } = await detect(image.blob, { ...this.options, ...CANDIDATES }, signal);
      signal.throwIfAborted();
      image.candidates = found.detections;
      image.speed = found.speed_ms ?? {};
      image.width = found.width;
      image.height = found.height;
      image.model = model;
      image.state = "done";
    } catch (error) {
      if (aborted(error)) image.state = "waiting";
      else [image.state, image.error] = ["failed", error];
    }
    if (this.list.includes(image)) this.onChange(image);
  }
}
