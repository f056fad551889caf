// Results in the formats of other tools: the table and the label files of `onelook predict`, and COCO's
// JSON. Takes records of images, gives text.

/** @typedef {ReturnType<typeof import("./record.js").record>} Entry */

/**
 * The columns of `predictions.csv`.
 * @param {readonly Entry[]} entries
 */
export function csv(entries) {
  const rows = entries.flatMap(({ source, detections }) =>
    detections.map(({ class: number, name, confidence, box }) => {
      const corners = [box.x1, box.y1, box.x2, box.y2].map((corner) => corner.toFixed(2));
      return [quoted(source), number, quoted(name), confidence.toFixed(5), ...corners].join(",");
    }),
  );
  return ["source,class,name,confidence,x1,y1,x2,y2", ...rows, ""].join("\n");
}

/**
 * A field as RFC 4180 wants it.
 * @param {string} field
 */
function quoted(field) {
  return /[",\n\r]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;
}

/**
 * A line per box: the class, then centre, width and height as fractions of the image.
 * @param {Entry} entry
 */
export function yolo({ width, height, detections }) {
  const lines = detections.map(({ class: number, box: { x1, y1, x2, y2 } }) => {
    const parts = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height];
    return `${[number, ...parts.map((part) => part.toFixed(6))].join(" ")}\n`;
  });
  return lines.join("");
}

/**
 * Images, annotations with scores, and categories, whose ids are the class numbers.
 * @param {readonly Entry[]} entries
 * @param {readonly string[]} names Of all classes, if known.
 */
export function coco(entries, names) {
  const found = new Map(names.map((name, number) => [number, name]));
  for (const { detections } of entries) for (const { class: number, name } of detections) if (!found.has(number)) found.set(number, name);
  const images = entries.map(({ source, width, height }, place) => ({ id: place + 1, file_name: source, width, height }));
  const annotations = entries.flatMap(({ detections }, place) =>
    detections.map(({ class: number, confidence, box: { x1, y1, x2, y2 } }) => {
      const [width, height] = [rounded(x2 - x1), rounded(y2 - y1)];
      return { image_id: place + 1, category_id: number, bbox: [x1, y1, width, height], area: rounded(width * height), iscrowd: 0, score: confidence };
    }),
  );
  const categories = [...found].sort(([a], [b]) => a - b).map(([id, name]) => ({ id, name }));
  return JSON.stringify({ images, annotations: annotations.map((entry, place) => ({ id: place + 1, ...entry })), categories });
}

/** @param {number} value */
function rounded(value) {
  return Math.round(value * 1e5) / 1e5;
}
