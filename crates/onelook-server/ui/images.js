// The pictures that were added and what was found on them. In, files; out, pictures with everything
// the model found above a low threshold, one request at a time, the shown picture first. It must
// never send a picture twice to the same model at the same size.

import { detect } from "./api.js";
import { CANDIDATES } from "./nms.js";
import { aborted } from "./problem.js";

/** @typedef {import("./api.js").Detection} Detection */
/**
 * @typedef {object} Picture
 * @property {number} id
 * @property {string} name
 * @property {Blob} blob
 * @property {string} address Of the thumbnail.
 * @property {ImageBitmap | null} bitmap Only of the picture that shows: bitmaps are large.
 * @property {boolean} drawable False once the browser has failed to show the format.
 * @property {number} width
 * @property {number} height
 * @property {"waiting" | "working" | "done" | "failed"} state
 * @property {Detection[]} candidates
 * @property {Record<string, number>} speed
 * @property {string | null} model The model that answered.
 * @property {unknown} error
 */

export class Pictures {
  constructor() {
    /** @type {Picture[]} */
    this.list = [];
    /** @type {Picture | null} */
    this.current = null;
    /** @type {{ model: string | null, imgsz: string | null }} */
    this.options = { model: null, imgsz: null };
    /** @type {(picture: Picture) => void} */
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
   * @returns {Picture}
   */
  add(blob, name) {
    /** @type {Picture} */
    const picture = {
      id: this.nextId++,
      name,
      blob,
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
    this.list.push(picture);
    return picture;
  }

  /**
   * Makes a picture ready to be drawn, unless another one was chosen meanwhile.
   * @param {Picture} picture
   */
  async decode(picture) {
    if (picture.bitmap || !picture.drawable) return;
    const bitmap = await createImageBitmap(picture.blob).catch(() => null);
    if (this.current !== picture || picture.bitmap) {
      bitmap?.close();
      return;
    }
    picture.bitmap = bitmap;
    picture.drawable = bitmap !== null;
    if (bitmap) [picture.width, picture.height] = [bitmap.width, bitmap.height];
  }

  /** Lets go of every bitmap but the shown one; to be called when no other is drawn any more. */
  tidy() {
    for (const bitmap of this.discarded.splice(0)) bitmap.close();
    for (const picture of this.list) {
      if (picture === this.current) continue;
      picture.bitmap?.close();
      picture.bitmap = null;
    }
  }

  /** @param {Picture} picture */
  remove(picture) {
    URL.revokeObjectURL(picture.address);
    if (picture.bitmap) this.discarded.push(picture.bitmap);
    const place = this.list.indexOf(picture);
    this.list.splice(place, 1);
    if (picture.state === "working") this.abort?.abort();
    if (this.current === picture) this.current = this.list[place] ?? this.list[place - 1] ?? null;
  }

  /**
   * Another model or size: everything is asked anew.
   * @param {{ model: string | null, imgsz: string | null }} options
   */
  setOptions(options) {
    if (options.model === this.options.model && options.imgsz === this.options.imgsz) return;
    this.options = options;
    for (const picture of this.list) picture.state = "waiting";
    this.abort?.abort();
    void this.run();
  }

  /** @param {Picture} picture */
  retry(picture) {
    picture.state = "waiting";
    void this.run();
  }

  /** From here on requests are sent: it is known which model to ask. */
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
    return this.list.find((picture) => picture.state === "waiting") ?? null;
  }

  /** @param {Picture} picture */
  async #detect(picture) {
    picture.state = "working";
    picture.error = null;
    this.onChange(picture);
    const { signal } = (this.abort = new AbortController());
    try {
      const { found, model } = await detect(picture.blob, { ...this.options, ...CANDIDATES }, signal);
      signal.throwIfAborted();
      picture.candidates = found.detections;
      picture.speed = found.speed_ms ?? {};
      picture.width = found.width;
      picture.height = found.height;
      picture.model = model;
      picture.state = "done";
    } catch (error) {
      if (aborted(error)) picture.state = "waiting";
      else [picture.state, picture.error] = ["failed", error];
    }
    if (this.list.includes(picture)) this.onChange(picture);
  }
}
