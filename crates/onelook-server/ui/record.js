// Results as JSON in the format of `onelook predict --json`, one object per image. The format is
// fixed.

/** @typedef {import("./api.js").Detection} Detection */

/**
 * @param {{ name: string, width: number, height: number, task: string | null, speed: Record<string, number> }} image
 * @param {readonly Detection[]} detections
 */
export function record(image, detections) {
  return {
    source: image.name,
    width: image.width,
    height: image.height,
    task: image.task ?? "detect",
    detections: detections.map((found) => ({
      name: found.name,
      class: found.class,
      confidence: rounded(found.confidence),
      box: {
        x1: rounded(found.box.x1),
        y1: rounded(found.box.y1),
        x2: rounded(found.box.x2),
        y2: rounded(found.box.y2),
      },
    })),
    speed_ms: image.speed,
  };
}

/**
 * Five decimals.
 * @param {number} value
 */
function rounded(value) {
  return Math.round(value * 1e5) / 1e5;
}

/**
 * For people: each box on one line.
 * @param {ReturnType<typeof record>} entry
 */
export function readable(entry) {
  const lines = Object.entries(entry).map(([key, value]) => {
    const text = Array.isArray(value) ? list(value) : JSON.stringify(value);
    return `  ${JSON.stringify(key)}: ${text}`;
  });
  return `{\n${lines.join(",\n")}\n}`;
}

/** @param {unknown[]} values */
function list(values) {
  if (values.length === 0) return "[]";
  return `[\n${values.map((value) => `    ${JSON.stringify(value)}`).join(",\n")}\n  ]`;
}
