// Places labels at boxes so that they avoid each other, as the server's drawing does. Takes boxes and
// the size of each label, in device pixels and the most important first; gives the top left corners.
// A box out of sight has no label.

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Rect */
/** @typedef {Rect & { width: number, height: number }} Wanted A box and the size of its label. */

/**
 * @param {readonly Wanted[]} wanted
 * @param {number} width Of the canvas.
 * @param {number} height Of the canvas.
 * @returns {({ x: number, y: number } | null)[]} In the same order.
 */
export function placeLabels(wanted, width, height) {
  /** @type {Rect[]} */
  const taken = [];
  return wanted.map((box) => {
    if (box.right <= 0 || box.bottom <= 0 || box.left >= width || box.top >= height) return null;
    const places = [...placesOf(box, width, height)];
    const label = places.find((place) => !taken.some((other) => overlap(place, other))) ?? places[0] ?? rect(box.left, height - box.height, box, width);
    taken.push(label);
    return { x: label.left, y: label.top };
  });
}

/**
 * Places that touch the visible part of a box, the best first: above the box, inside its top, below it,
 * each at the left edge and then at the right one; then down both edges, line by line.
 * @param {Wanted} box
 * @param {number} width
 * @param {number} height
 * @returns {Generator<Rect>}
 */
function* placesOf(box, width, height) {
  const left = Math.max(0, box.left);
  const right = Math.min(width, box.right) - box.width;
  const [top, bottom] = [Math.max(0, box.top), Math.min(height, box.bottom)];
  for (const x of [left, right]) {
    for (const y of [top - box.height, top, bottom]) {
      if (y >= 0 && y + box.height <= height) yield rect(x, y, box, width);
    }
  }
  for (let y = top + box.height; y < bottom && y + box.height <= height; y += box.height) {
    for (const x of [left, right]) yield rect(x, y, box, width);
  }
}

/**
 * @param {number} x
 * @param {number} y
 * @param {Wanted} box
 * @param {number} width
 * @returns {Rect}
 */
function rect(x, y, box, width) {
  const left = Math.max(0, Math.min(x, width - box.width));
  return { left, top: Math.max(0, y), right: left + box.width, bottom: Math.max(0, y) + box.height };
}

/**
 * @param {Rect} a
 * @param {Rect} b
 */
function overlap(a, b) {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
