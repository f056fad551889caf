// Draws boxes and labels on a canvas, from detections, the image's placement on the canvas and a
// line width. Edges are aligned to device pixels.

import { classColour, textColour } from "./colour.js";
import { placeLabels } from "./labels.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {import("./labels.js").Rect} Rect */
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
 * All boxes first, lowest confidence first, so that the highest is on top and the selected one last;
 * then the labels, which no box covers.
 * @param {CanvasRenderingContext2D} context
 * @param {readonly Detection[]} detections Highest confidence first.
 * @param {Placement} placement
 * @param {Style} style
 */
export function paintBoxes(context, detections, placement, style) {
  const { highlight } = style;
  const boxes = detections.map(({ box }) => onCanvas(box, placement));
  context.save();
  for (let index = detections.length - 1; index >= 0; index -= 1) {
    context.globalAlpha = highlight === null ? 1 : 0.5;
    if (index !== highlight) paintBox(context, detections[index], boxes[index], style.line);
  }
  context.globalAlpha = 1;
  if (highlight !== null) {
    fillBox(context, detections[highlight], boxes[highlight]);
    paintBox(context, detections[highlight], boxes[highlight], style.line * 1.5);
  }
  if (style.labels) paintLabels(context, detections, boxes, style);
  context.restore();
}

/**
 * @param {import("./api.js").Box} box
 * @param {Placement} placement
 */
function onCanvas({ x1, y1, x2, y2 }, { scale, x, y }) {
  return {
    left: Math.round(x1 * scale + x),
    top: Math.round(y1 * scale + y),
    right: Math.round(x2 * scale + x),
    bottom: Math.round(y2 * scale + y),
  };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Detection | undefined} found
 * @param {Rect | undefined} box
 */
function fillBox(context, found, box) {
  if (!found || !box) return;
  context.globalAlpha = 0.18;
  context.fillStyle = classColour(found.class);
  context.fillRect(box.left, box.top, box.right - box.left, box.bottom - box.top);
  context.globalAlpha = 1;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {Detection | undefined} found
 * @param {Rect | undefined} box
 * @param {number} width
 */
function paintBox(context, found, box, width) {
  if (!found || !box) return;
  const line = Math.max(1, Math.round(width));
  const half = line / 2;
  context.strokeStyle = classColour(found.class);
  context.lineWidth = line;
  context.strokeRect(box.left + half, box.top + half, Math.max(1, box.right - box.left - line), Math.max(1, box.bottom - box.top - line));
}

/**
 * The labels of all boxes, or only of the selected one; the highest confidence on top.
 * @param {CanvasRenderingContext2D} context
 * @param {readonly Detection[]} detections
 * @param {readonly Rect[]} boxes
 * @param {Style} style
 */
function paintLabels(context, detections, boxes, { font, highlight }) {
  context.textBaseline = "middle";
  context.font = `600 ${font}px ${FONT}`;
  const height = Math.round(font * 1.5);
  const labels = detections.flatMap((found, index) => {
    const box = boxes[index];
    if (!box || (highlight !== null && index !== highlight)) return [];
    const text = `${found.name} ${found.confidence.toFixed(2)}`;
    return [{ ...box, height, width: Math.ceil(context.measureText(text).width + font * 0.8), text, class: found.class }];
  });
  const places = placeLabels(labels, context.canvas.width, context.canvas.height);
  for (let index = labels.length - 1; index >= 0; index -= 1) {
    const [label, place] = [labels[index], places[index]];
    if (!label || !place) continue;
    context.fillStyle = classColour(label.class);
    context.fillRect(place.x, place.y, label.width, height);
    context.fillStyle = textColour(label.class);
    context.fillText(label.text, place.x + font * 0.4, place.y + height / 2 + font * 0.05);
  }
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
