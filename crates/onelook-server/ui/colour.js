// A CSS colour per class, the same as in the images that the server draws, and black or white for
// text on it, whichever has more contrast.

const COLOURS = [
  0xff4d4f, 0x1677ff, 0xffc53d, 0x13a8a8, 0x9254de, 0x73d13d, 0xf759ab, 0x0b5f8a, 0xfa8c16,
  0x36cfc9, 0x7a1f5c, 0xd3f261, 0x85a5ff, 0xad4e00, 0x00a854, 0xffadd2, 0x4b3fbf, 0xa8a032,
  0x69c0ff, 0xb71c1c,
];

/**
 * @param {number} classNumber
 * @returns {[number, number, number]}
 */
export function classRgb(classNumber) {
  const colour = COLOURS[classNumber % COLOURS.length] ?? 0;
  const round = Math.floor(classNumber / COLOURS.length) % 4;
  const channel = (/** @type {number} */ shift) => {
    const value = (colour >> shift) & 255;
    if (round === 1) return mix(value, 255, 3);
    if (round === 2) return mix(value, 0, 2);
    return round === 3 ? mix(value, 255, 5) : value;
  };
  return [channel(16), channel(8), channel(0)];
}

/**
 * Interpolates between two values by a number of eighths.
 * @param {number} from
 * @param {number} to
 * @param {number} eighths
 */
function mix(from, to, eighths) {
  return Math.floor((from * (8 - eighths) + to * eighths) / 8);
}

/** @param {number} classNumber */
export function classColour(classNumber) {
  return `rgb(${classRgb(classNumber).join(" ")})`;
}

/**
 * Black or white, whichever has more contrast with the class's colour (WCAG 2 relative luminance).
 * @param {number} classNumber
 */
export function textColour(classNumber) {
  const luminance = relativeLuminance(classRgb(classNumber));
  return 1.05 / (luminance + 0.05) > (luminance + 0.05) / 0.05 ? "#fff" : "#000";
}

/** @param {[number, number, number]} rgb */
export function relativeLuminance(rgb) {
  const [red, green, blue] = rgb.map((channel) => {
    const value = channel / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * (red ?? 0) + 0.7152 * (green ?? 0) + 0.0722 * (blue ?? 0);
}
