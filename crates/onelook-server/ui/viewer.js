// The image viewer: zoom, pan, and boxes that react to the pointer. Takes an image, its boxes and
// the selected one; reports the one under the pointer. The canvas has the screen's full resolution.

import { paintBoxes } from "./paint.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {import("./api.js").Box} Box */

const LARGEST_FIT = 4;
const LARGEST_ZOOM = 32;

export class Viewer {
  /** @param {HTMLCanvasElement} canvas */
  constructor(canvas) {
    this.canvas = canvas;
    /** @type {CanvasImageSource | null} */
    this.image = null;
    this.width = 0;
    this.height = 0;
    /** @type {readonly Detection[]} */
    this.detections = [];
    /** @type {number | null} */
    this.highlight = null;
    this.labels = true;
    /** In CSS pixels. */
    this.view = { scale: 1, x: 0, y: 0 };
    this.fitted = true;
    this.ratio = 1;
    this.size = { width: 0, height: 0 };
    /** @type {(index: number | null) => void} */
    this.onHover = () => {};
    /** @type {(index: number | null) => void} */
    this.onPick = () => {};
    /** @type {(percent: number, fitted: boolean) => void} */
    this.onZoom = () => {};
    /** @type {(step: 1 | -1) => void} */
    this.onStep = () => {};
    /** @type {() => void} */
    this.onView = () => {};
    this.frame = 0;
    /** @type {Map<number, { x: number, y: number }>} */
    this.pointers = new Map();
    this.moved = false;
    this.#listen();
  }

  /**
   * @param {CanvasImageSource | null} image
   * @param {number} width
   * @param {number} height
   * @param {boolean} keepView
   */
  show(image, width, height, keepView = false) {
    const sameSize = width === this.width && height === this.height;
    this.image = image;
    this.width = width;
    this.height = height;
    if (!(keepView && sameSize)) this.fit();
    this.redraw();
  }

  /** @param {readonly Detection[]} detections */
  setDetections(detections) {
    this.detections = detections;
    this.redraw();
  }

  /** @param {number | null} index */
  setHighlight(index) {
    if (this.highlight === index) return;
    this.highlight = index;
    this.redraw();
  }

  /**
   * Shows the same part of the image as another viewer.
   * @param {Viewer} other
   */
  follow(other) {
    this.fitted = other.fitted;
    this.#place(other.fitted ? this.#fitView() : other.view);
  }

  fit() {
    this.fitted = true;
    this.#set(this.#fitView());
  }

  actual() {
    this.zoomTo(1 / this.ratio);
  }

  /** @param {number} factor */
  zoomBy(factor) {
    this.zoomTo(this.view.scale * factor);
  }

  /**
   * @param {number} scale
   * @param {number} [x] The point that stays where it is, in CSS pixels.
   * @param {number} [y]
   */
  zoomTo(scale, x = this.size.width / 2, y = this.size.height / 2) {
    const least = Math.min(this.#fitView().scale, 1 / this.ratio);
    const next = Math.min(LARGEST_ZOOM, Math.max(least, scale));
    const factor = next / this.view.scale;
    this.fitted = false;
    this.#set({
      scale: next,
      x: x - (x - this.view.x) * factor,
      y: y - (y - this.view.y) * factor,
    });
  }

  /** @param {Box} box */
  zoomToBox(box) {
    const { width, height } = this.size;
    const wanted = Math.min(width / ((box.x2 - box.x1) * 1.6 + 1), height / ((box.y2 - box.y1) * 1.6 + 1));
    const scale = Math.min(LARGEST_FIT, Math.max(this.#fitView().scale, wanted));
    this.fitted = false;
    this.#set({
      scale,
      x: width / 2 - ((box.x1 + box.x2) / 2) * scale,
      y: height / 2 - ((box.y1 + box.y2) / 2) * scale,
    });
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    if (this.fitted) return;
    this.#set({ scale: this.view.scale, x: this.view.x + dx, y: this.view.y + dy });
  }

  redraw() {
    this.frame ||= requestAnimationFrame(() => {
      this.frame = 0;
      this.#draw();
    });
  }

  /**
   * The smallest box under a point of the canvas.
   * @param {number} x
   * @param {number} y
   */
  boxAt(x, y) {
    const px = (x - this.view.x) / this.view.scale;
    const py = (y - this.view.y) / this.view.scale;
    const slack = 4 / this.view.scale;
    let best = null;
    let bestArea = Infinity;
    this.detections.forEach(({ box }, index) => {
      if (px < box.x1 - slack || px > box.x2 + slack || py < box.y1 - slack || py > box.y2 + slack) return;
      const area = (box.x2 - box.x1) * (box.y2 - box.y1);
      if (area < bestArea) [best, bestArea] = [index, area];
    });
    return /** @type {number | null} */ (best);
  }

  #fitView() {
    const { width, height } = this.size;
    if (!this.width || !this.height || !width || !height) return { scale: 1, x: 0, y: 0 };
    const scale = Math.min(width / this.width, height / this.height, LARGEST_FIT);
    return { scale, x: (width - this.width * scale) / 2, y: (height - this.height * scale) / 2 };
  }

  /** @param {{ scale: number, x: number, y: number }} view */
  #set(view) {
    this.#place(view);
    this.onView();
  }

  /** @param {{ scale: number, x: number, y: number }} view */
  #place(view) {
    this.view = {
      scale: view.scale,
      x: clampOffset(view.x, this.width * view.scale, this.size.width),
      y: clampOffset(view.y, this.height * view.scale, this.size.height),
    };
    this.canvas.classList.toggle("zoomed", !this.fitted);
    this.onZoom(view.scale * this.ratio * 100, this.fitted);
    this.redraw();
  }

  #draw() {
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const { ratio, view } = this;
    const placement = { scale: view.scale * ratio, x: Math.round(view.x * ratio), y: Math.round(view.y * ratio) };
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    if (!this.width) return;
    context.imageSmoothingEnabled = placement.scale < 3;
    context.imageSmoothingQuality = "high";
    const [width, height] = [this.width * placement.scale, this.height * placement.scale];
    if (this.image) context.drawImage(this.image, placement.x, placement.y, width, height);
    else {
      context.fillStyle = "#808080";
      context.fillRect(placement.x, placement.y, width, height);
    }
    const style = { line: 2 * ratio, font: 12 * ratio, labels: this.labels, highlight: this.highlight };
    paintBoxes(context, this.detections, placement, style);
  }

  #listen() {
    new ResizeObserver((entries) => this.#resized(entries[0])).observe(this.canvas);
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    canvas.addEventListener("pointerup", (event) => this.#up(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.onHover(null));
    canvas.addEventListener("dblclick", (event) => {
      if (this.fitted) this.zoomTo(this.view.scale * 2.5, event.offsetX, event.offsetY);
      else this.fit();
    });
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {ResizeObserverEntry | undefined} entry */
  #resized(entry) {
    if (!entry) return;
    this.ratio = window.devicePixelRatio || 1;
    this.size = { width: entry.contentRect.width, height: entry.contentRect.height };
    const exact = entry.devicePixelContentBoxSize?.[0];
    this.canvas.width = wholePixels(exact?.inlineSize, this.size.width * this.ratio);
    this.canvas.height = wholePixels(exact?.blockSize, this.size.height * this.ratio);
    if (this.fitted) this.fit();
    else this.#set(this.view);
    this.#draw();
  }

  /** @param {WheelEvent} event */
  #wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    const factor = Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.002));
    this.zoomTo(this.view.scale * factor, event.offsetX, event.offsetY);
  }

  /** @param {PointerEvent} event */
  #down(event) {
    this.pointers.set(event.pointerId, { x: event.offsetX, y: event.offsetY });
    this.moved = false;
    if (event.pointerType !== "touch" || !this.fitted) this.canvas.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const before = this.pointers.get(event.pointerId);
    const now = { x: event.offsetX, y: event.offsetY };
    if (!before) {
      if (event.pointerType !== "touch") this.onHover(this.boxAt(now.x, now.y));
      return;
    }
    const other = [...this.pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) this.#pinch(before, now, other);
    else if (Math.hypot(now.x - before.x, now.y - before.y) < 3 && !this.moved) return;
    else this.pan(now.x - before.x, now.y - before.y);
    this.moved = true;
    this.pointers.set(event.pointerId, now);
  }

  /**
   * @param {{ x: number, y: number }} before
   * @param {{ x: number, y: number }} now
   * @param {{ x: number, y: number }} other
   */
  #pinch(before, now, other) {
    const apart = Math.hypot(before.x - other.x, before.y - other.y);
    if (apart < 1) return;
    const factor = Math.hypot(now.x - other.x, now.y - other.y) / apart;
    this.zoomTo(this.view.scale * factor, (now.x + other.x) / 2, (now.y + other.y) / 2);
  }

  /** @param {PointerEvent} event */
  #up(event) {
    this.pointers.delete(event.pointerId);
    if (!this.moved) this.onPick(this.boxAt(event.offsetX, event.offsetY));
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = 48;
    /** @type {Record<string, () => void>} */
    const actions = {
      "+": () => this.zoomBy(1.25),
      "=": () => this.zoomBy(1.25),
      "-": () => this.zoomBy(0.8),
      0: () => this.fit(),
      1: () => this.actual(),
      n: () => this.onStep(1),
      p: () => this.onStep(-1),
      PageDown: () => this.onStep(1),
      PageUp: () => this.onStep(-1),
      ArrowLeft: () => this.pan(step, 0),
      ArrowRight: () => this.pan(-step, 0),
      ArrowUp: () => this.pan(0, step),
      ArrowDown: () => this.pan(0, -step),
    };
    if (this.fitted) Object.assign(actions, { ArrowLeft: () => this.onStep(-1), ArrowRight: () => this.onStep(1) });
    const action = actions[event.key];
    if (!action || (this.fitted && (event.key === "ArrowUp" || event.key === "ArrowDown"))) return;
    event.preventDefault();
    action();
  }
}

/**
 * Keeps an image in view: centred if it is smaller than the viewport, else without a gap at the edges.
 * @param {number} offset
 * @param {number} image
 * @param {number} viewport
 */
function clampOffset(offset, image, viewport) {
  if (image <= viewport) return (viewport - image) / 2;
  return Math.min(0, Math.max(viewport - image, offset));
}

/**
 * What the browser counted, if that is believable; some emulated screens count CSS pixels.
 * @param {number | undefined} counted
 * @param {number} reckoned
 */
function wholePixels(counted, reckoned) {
  return counted !== undefined && Math.abs(counted - reckoned) <= 1 ? counted : Math.round(reckoned);
}
