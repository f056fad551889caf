// Draws boxes and labels on a canvas, from detections, the image's placement on the canvas and a
// line width. Edges are aligned to device pixels.

import { classColour, textColour } from "./colour.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {{ scale: number, x: number, y: number }} Placement Image pixel to device pixel. */
/**
 * @typedef {object} Style
 * @property {number} line Device pixels.
 * @property {number} font Device pixels.
 * @property {boolean} labels
 * @property {number | null} highlight Index of the box to bring out.
 */

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans CJK SC", sans-serif';

/**
 * Lowest confidence first, so that the highest is on top; the selected one last.
 * @param {CanvasRenderingContext2D} context
 * @param {readonly Detection[]} detections Highest confidence first.
 * @param {Placement} placement
 * @param {Style} style
 */
export function paintBoxes(context, detections, placement, style) {
  context.save();
  context.textBaseline = "middle";
  context.font = `600 ${style.font}px ${FONT}`;
  for (let index = detections.length - 1; index >= 0; index -= 1) {
    if (index !== style.highlight) paintAt(index);
  }
  if (style.highlight !== null) paintAt(style.highlight);
  context.restore();

  /** @param {number} index */
  function paintAt(index) {
    const found = detections[index];
    if (!found) return;
    const chosen = index === style.highlight;
    context.globalAlpha = style.highlight === null || chosen ? 1 : 0.5;
    const labels = style.labels && (style.highlight === null || chosen);
    paintBox(context, found, placement, { ...style, labels, line: style.line * (chosen ? 1.5 : 1) }, chosen);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Detection} found
 * @param {Placement} placement
 * @param {Style} style
 * @param {boolean} filled
 */
function paintBox(context, found, placement, style, filled) {
  const colour = classColour(found.class);
  const line = Math.max(1, Math.round(style.line));
  const left = Math.round(found.box.x1 * placement.scale + placement.x);
  const top = Math.round(found.box.y1 * placement.scale + placement.y);
  const right = Math.round(found.box.x2 * placement.scale + placement.x);
  const bottom = Math.round(found.box.y2 * placement.scale + placement.y);
  const half = line / 2;
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineWidth = line;
  if (filled) {
    context.globalAlpha = 0.18;
    context.fillRect(left, top, right - left, bottom - top);
    context.globalAlpha = 1;
  }
  context.strokeRect(left + half, top + half, Math.max(1, right - left - line), Math.max(1, bottom - top - line));
  if (style.labels) paintLabel(context, found, left, top, style.font);
}

/**
 * Above the box if there is space, else inside.
 * @param {CanvasRenderingContext2D} context
 * @param {Detection} found
 * @param {number} left
 * @param {number} top
 * @param {number} font
 */
function paintLabel(context, found, left, top, font) {
  const text = `${found.name} ${found.confidence.toFixed(2)}`;
  const height = Math.round(font * 1.5);
  const width = Math.ceil(context.measureText(text).width + font * 0.8);
  const x = Math.max(0, Math.min(left, context.canvas.width - width));
  const y = top - height >= 0 ? top - height : Math.max(0, top);
  context.fillRect(x, y, width, height);
  context.fillStyle = textColour(found.class);
  context.fillText(text, x + font * 0.4, y + height / 2 + font * 0.05);
}

/**
 * The image with its boxes at full size.
 * @param {CanvasImageSource | null} image
 * @param {number} width
 * @param {number} height
 * @param {readonly Detection[]} detections
 * @param {boolean} labels
 * @returns {HTMLCanvasElement | null} Null if the browser cannot create it.
 */
export function paintImage(image, width, height, detections, labels) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d");
  if (!context || canvas.width !== width || canvas.height !== height) return null;
  context.fillStyle = "#808080";
  context.fillRect(0, 0, width, height);
  if (image) context.drawImage(image, 0, 0, width, height);
  const line = Math.max(2, Math.round((width + height) * 0.0015));
  const style = { line, font: Math.max(12, line * 6), labels, highlight: null };
  paintBoxes(context, detections, { scale: 1, x: 0, y: 0 }, style);
  return canvas;
}
