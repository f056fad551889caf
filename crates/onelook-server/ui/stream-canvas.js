// One stream's live image: draws frames, boxes, lines and zones on a canvas, and lets the user draw a line
// or a zone with the pointer. Points of lines and zones are 0 to 1 of width and height.

import { classColour } from "./colour.js";
import { make } from "./dom.js";
import { paintBoxes } from "./paint.js";

/** @typedef {[number, number]} Point */
/** @typedef {import("./live-socket.js").LiveFrame} LiveFrame */
/** @typedef {import("./api.js").LineConfig} LineConfig */
/** @typedef {import("./api.js").ZoneConfig} ZoneConfig */

const LINE_COLOUR = "#ffd33d";
const ZONE_COLOUR = "#4ac8ff";
const PLANE_COLOUR = "#7ee787";
/** A click this near to the first corner closes a zone, in CSS pixels. */
const NEAR = 12;
/** A shorter line was a click, as a part of the width. */
const SHORTEST = 0.02;
/** Further corners make no better zone. */
const MOST_CORNERS = 100;

export class StreamCanvas {
  constructor() {
    this.canvas = make("canvas", { class: "stream-canvas", role: "img", width: 640, height: 360 });
    /** @type {ImageBitmap | null} */
    this.image = null;
    /** @type {HTMLVideoElement | null} */
    this.video = null;
    /** @type {LiveFrame | null} */
    this.frame = null;
    /** @type {LineConfig[]} */
    this.lines = [];
    /** @type {ZoneConfig[]} */
    this.zones = [];
    /** Four points of the ground. @type {Point[] | null} */
    this.plane = null;
    /** @type {"line" | "zone" | "plane" | null} */
    this.drawing = null;
    /** @type {Point[]} */
    this.points = [];
    /** @type {Point | null} */
    this.pointer = null;
    this.busy = false;
    /** Called with the points of what was drawn. @type {(kind: "line" | "zone" | "plane", points: Point[]) => void} */
    this.onDrawn = () => {};
    /** Called when drawing has begun or ended. */
    this.onMode = () => {};
    this.#listen();
    new ResizeObserver(() => this.paint()).observe(this.canvas);
  }

  /**
   * Shows a frame; while one is decoded others are left out.
   * @param {LiveFrame} frame
   * @param {Blob} blob
   */
  async show(frame, blob) {
    if (this.busy) return;
    this.busy = true;
    try {
      const image = await createImageBitmap(blob);
      this.image?.close();
      this.image = image;
      this.frame = frame;
      this.paint();
    } catch {
      // A damaged image: the next one replaces it.
    } finally {
      this.busy = false;
    }
  }

  /**
   * Shows what a video shows, with these objects.
   * @param {HTMLVideoElement} video
   * @param {LiveFrame} frame
   */
  showVideo(video, frame) {
    this.video = video;
    this.frame = frame;
    this.paint();
  }

  /** Lets the image go, for a stream that is out of sight. */
  clear() {
    this.image?.close();
    this.image = null;
  }

  /** @param {"line" | "zone" | "plane" | null} kind */
  draw(kind) {
    this.drawing = kind;
    this.points = [];
    this.pointer = null;
    this.canvas.classList.toggle("drawing", kind !== null);
    this.onMode();
    this.paint();
  }

  paint() {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const ratio = Math.min(globalThis.devicePixelRatio || 1, 2);
    const aspect = this.frame ? this.frame.height / this.frame.width : 9 / 16;
    this.canvas.style.aspectRatio = String(1 / aspect);
    const width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    const height = Math.max(1, Math.round(width * aspect));
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    context.fillStyle = "#11151b";
    context.fillRect(0, 0, width, height);
    const image = this.video ?? this.image;
    if (image) context.drawImage(image, 0, 0, width, height);
    if (this.plane) this.#polygon(context, this.plane, "", true, PLANE_COLOUR);
    for (const zone of this.zones) this.#polygon(context, zone.corners, zone.name, true);
    for (const line of this.lines) this.#arrow(context, line.start, line.end, line.name);
    if (this.frame && image) {
      const scale = width / this.frame.width;
      const named = this.frame.detections.map((found) => (found.track_id === undefined ? found : { ...found, name: `${found.name} ${found.track_id}${speedText(found.speed)}` }));
      paintBoxes(context, named, { scale, x: 0, y: 0 }, { line: 2 * ratio, font: 11 * ratio, labels: this.canvas.clientWidth > 260, highlight: null });
      for (const found of this.frame.detections) this.#foot(context, found, scale, ratio);
    }
    this.#paintDrawing(context);
  }

  /**
   * The point of a box that is counted.
   * @param {CanvasRenderingContext2D} context
   * @param {import("./api.js").Detection} found
   * @param {number} scale
   * @param {number} ratio
   */
  #foot(context, found, scale, ratio) {
    if (this.lines.length + this.zones.length === 0) return;
    const { x1, x2, y2 } = found.box;
    context.fillStyle = classColour(found.class);
    context.beginPath();
    context.arc(((x1 + x2) / 2) * scale, y2 * scale, 3 * ratio, 0, 2 * Math.PI);
    context.fill();
  }

  /** @param {CanvasRenderingContext2D} context */
  #paintDrawing(context) {
    const points = this.pointer ? [...this.points, this.pointer] : this.points;
    const [first, second] = points;
    if (this.drawing === "line" && first && second) this.#arrow(context, first, second, "");
    if (this.drawing === "zone" && first) this.#polygon(context, points, "", false);
    if (this.drawing === "plane" && first) this.#polygon(context, points, "", points.length === 4, PLANE_COLOUR);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Point} start
   * @param {Point} end
   * @param {string} name
   */
  #arrow(context, start, end, name) {
    const [from, to] = [this.#pixels(start), this.#pixels(end)];
    const angle = Math.atan2(to[1] - from[1], to[0] - from[0]);
    const head = Math.max(8, this.canvas.width * 0.018);
    context.strokeStyle = LINE_COLOUR;
    context.fillStyle = LINE_COLOUR;
    context.lineWidth = Math.max(2, this.canvas.width / 320);
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    context.beginPath();
    context.moveTo(...to);
    for (const turn of [2.7, -2.7]) context.lineTo(to[0] + head * Math.cos(angle + turn), to[1] + head * Math.sin(angle + turn));
    context.fill();
    this.#label(context, name, [(from[0] + to[0]) / 2, (from[1] + to[1]) / 2], LINE_COLOUR);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Point[]} corners
   * @param {string} name
   * @param {boolean} closed
   * @param {string} [colour]
   */
  #polygon(context, corners, name, closed, colour = ZONE_COLOUR) {
    const points = corners.map((corner) => this.#pixels(corner));
    context.beginPath();
    points.forEach((point, index) => (index === 0 ? context.moveTo(...point) : context.lineTo(...point)));
    if (closed) context.closePath();
    context.globalAlpha = 0.16;
    context.fillStyle = colour;
    context.fill();
    context.globalAlpha = 1;
    context.strokeStyle = colour;
    context.lineWidth = Math.max(2, this.canvas.width / 320);
    context.stroke();
    if (points[0]) this.#label(context, name, points[0], colour);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {string} text
   * @param {Point} at
   * @param {string} colour
   */
  #label(context, text, at, colour) {
    if (text === "") return;
    const font = Math.max(11, this.canvas.width / 50);
    context.font = `600 ${font}px system-ui, sans-serif`;
    context.textBaseline = "middle";
    const width = context.measureText(text).width + font * 0.8;
    context.fillStyle = colour;
    context.fillRect(at[0], at[1] - font * 0.75, width, font * 1.5);
    context.fillStyle = "#000";
    context.fillText(text, at[0] + font * 0.4, at[1]);
  }

  /**
   * @param {Point} point
   * @returns {Point}
   */
  #pixels([x, y]) {
    return [x * this.canvas.width, y * this.canvas.height];
  }

  #listen() {
    const { canvas } = this;
    const at = (/** @type {PointerEvent} */ event) => {
      const frame = canvas.getBoundingClientRect();
      const part = (/** @type {number} */ value) => Math.round(Math.min(1, Math.max(0, value)) * 1e4) / 1e4;
      return /** @type {Point} */ ([part((event.clientX - frame.left) / frame.width), part((event.clientY - frame.top) / frame.height)]);
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (this.drawing === null || event.button !== 0) return;
      event.preventDefault();
      const point = at(event);
      if (this.drawing === "line") {
        canvas.setPointerCapture(event.pointerId);
        this.points = [point];
      } else if (this.#closes(point)) {
        this.finish();
        return;
      } else if (this.points.length < MOST_CORNERS) {
        this.points.push(point);
        // A rectangle has no more corners.
        if (this.drawing === "plane" && this.points.length === 4) this.finish();
      }
      this.paint();
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.drawing === null || this.points.length === 0) return;
      this.pointer = at(event);
      this.paint();
    });
    canvas.addEventListener("pointerup", (event) => {
      const [start] = this.points;
      if (this.drawing !== "line" || !start) return;
      const end = at(event);
      this.points = Math.hypot(end[0] - start[0], end[1] - start[1]) > SHORTEST ? [start, end] : [];
      this.finish();
    });
  }

  /** @param {Point} point */
  #closes(point) {
    const [first] = this.points;
    if (!first || this.points.length < 3 || this.drawing === "plane") return false;
    const { clientWidth, clientHeight } = this.canvas;
    return Math.hypot((point[0] - first[0]) * clientWidth, (point[1] - first[1]) * clientHeight) < NEAR;
  }

  /** Ends drawing with what there is, if it is enough. */
  finish() {
    const { drawing: kind, points } = this;
    const enough = kind === "line" ? 2 : kind === "zone" ? 3 : 4;
    if (kind === null || (points.length > 0 && points.length < enough)) return;
    if (points.length === 0) {
      this.paint();
      return;
    }
    this.draw(null);
    this.onDrawn(kind, points);
  }
}

/** @param {number | undefined} speed Metres per second. */
function speedText(speed) {
  return speed === undefined ? "" : ` ${Math.round(speed * 36) / 10} km/h`;
}
