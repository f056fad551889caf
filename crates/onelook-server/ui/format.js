// Formats numbers, times and sizes as short texts. Units are the same in both languages. A missing
// number gives an empty text, not an exception.

const MISSING = "–";

/**
 * @param {number | null | undefined} value
 * @returns {value is number}
 */
function known(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * About three significant digits: 0.123, 4.56, 78.9, 123, 12,345.
 * @param {number | null | undefined} value
 */
export function number(value) {
  if (!known(value)) return MISSING;
  const size = Math.abs(value);
  if (size === 0) return "0";
  const digits = size < 1 ? 3 : size < 10 ? 2 : size < 100 ? 1 : 0;
  const text = value.toFixed(digits);
  return digits === 0 ? grouped(text) : text.replace(/\.?0+$/, "");
}

/** @param {string} integer */
function grouped(integer) {
  return integer.replace(/\B(?=(\d{3})+$)/g, ",");
}

/** @param {number | null | undefined} value */
export function percent(value) {
  return known(value) ? `${value.toFixed(value > 0 && value < 10 ? 1 : 0)} %` : MISSING;
}

/** @param {number | null | undefined} value */
export function milliseconds(value) {
  if (!known(value)) return MISSING;
  if (value >= 10_000) return `${number(value / 1000)} s`;
  return `${value < 1 ? number(Math.round(value * 100) / 100) : number(value)} ms`;
}

/** @param {number | null | undefined} value */
export function bytes(value) {
  if (!known(value)) return MISSING;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let size = value;
  while (size >= 1023.5 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size.toFixed(0) : number(size)} ${units[unit]}`;
}

/**
 * The two largest of days, hours, minutes and seconds.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (!known(seconds)) return MISSING;
  const whole = Math.max(0, Math.floor(seconds));
  const parts = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount !== 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount !== 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");
}

/**
 * A round number at or above `value`, for the end of an axis.
 * @param {number} value
 */
export function niceCeiling(value) {
  if (!(value > 0) || !Number.isFinite(value)) return 1;
  const magnitude = 10 ** Math.floor(Math.log10(value));
  const step = [1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((candidate) => candidate * magnitude >= value * 0.999_999);
  return Number(((step ?? 10) * magnitude).toPrecision(3));
}

/**
 * A file's name without folders and extension.
 * @param {string} name
 */
export function stem(name) {
  const last = name.split(/[\\/]/).pop() ?? "";
  return last.replace(/\.[^.]*$/, "") || "image";
}
