// Non-maximum suppression in the browser: takes all candidates above a low threshold, gives those
// that remain at the chosen thresholds. Same algorithm as the server's, so a slider needs no new
// request.

/** @typedef {import("./api.js").Detection} Detection */

/**
 * @typedef {object} Thresholds
 * @property {number} conf Boxes must be surer than this.
 * @property {number} iou A box goes when it overlaps a surer one by more than this.
 * @property {boolean} agnostic Whether boxes of different classes suppress each other.
 * @property {number} maxDet At most so many boxes stay.
 * @property {ReadonlySet<number>} classes Only these classes; empty means all.
 */

/** @type {Readonly<Thresholds>} */
export const DEFAULTS = Object.freeze({
  conf: 0.25,
  iou: 0.7,
  agnostic: false,
  maxDet: 300,
  classes: new Set(),
});

/** The parameters of the only request; every later choice is a subset of its response. */
export const CANDIDATES = Object.freeze({ conf: 0.05, iou: 1, maxDet: 1000 });

const f32 = Math.fround;

/**
 * Intersection over union in single precision, as the server computes it.
 * @param {import("./api.js").Box} a
 * @param {import("./api.js").Box} b
 */
export function iou(a, b) {
  const width = f32(Math.min(f32(a.x2), f32(b.x2)) - Math.max(f32(a.x1), f32(b.x1)));
  const height = f32(Math.min(f32(a.y2), f32(b.y2)) - Math.max(f32(a.y1), f32(b.y1)));
  const intersection = f32(Math.max(width, 0) * Math.max(height, 0));
  return f32(intersection / f32(f32(area(a) + area(b)) - intersection));
}

/** @param {import("./api.js").Box} box */
function area(box) {
  return f32(f32(f32(box.x2) - f32(box.x1)) * f32(f32(box.y2) - f32(box.y1)));
}

/**
 * The boxes that remain, highest confidence first; of equal ones, the earlier first.
 * @param {readonly Detection[]} candidates
 * @param {Thresholds} thresholds
 * @returns {Detection[]}
 */
export function select(candidates, thresholds) {
  const { conf, agnostic, maxDet, classes } = thresholds;
  const limit = Math.max(0, f32(thresholds.iou));
  const order = candidates
    .filter((found) => found.confidence > conf && (classes.size === 0 || classes.has(found.class)))
    .sort((a, b) => b.confidence - a.confidence);
  /** @type {Map<number, Detection[]>} */
  const kept = new Map();
  /** @type {Detection[]} */
  const result = [];
  for (const found of order) {
    if (result.length >= maxDet) break;
    const group = agnostic ? 0 : found.class;
    const rivals = kept.get(group) ?? [];
    if (rivals.some((rival) => iou(rival.box, found.box) > limit)) continue;
    rivals.push(found);
    kept.set(group, rivals);
    result.push(found);
  }
  return result;
}

/**
 * How many boxes of each class there are, the most frequent first.
 * @param {readonly Detection[]} detections
 * @returns {{ class: number, name: string, count: number }[]}
 */
export function countByClass(detections) {
  /** @type {Map<number, { class: number, name: string, count: number }>} */
  const counts = new Map();
  for (const found of detections) {
    const entry = counts.get(found.class) ?? { class: found.class, name: found.name, count: 0 };
    entry.count += 1;
    counts.set(found.class, entry);
  }
  return [...counts.values()].sort((a, b) => b.count - a.count || a.class - b.class);
}
