// Files into one ZIP archive: stored, not compressed, because images are compressed already. Writes
// what APPNOTE.TXT calls version 2.0, with names in UTF-8; not for more than 4 GiB or 65,535 files.

/** @typedef {{ name: string, bytes: Uint8Array<ArrayBuffer> }} ZipFile */

const UTF8_NAMES = 0x0800;
/** The first day that the format knows: the same files make the same archive. */
const DATE = 0x0021;

/**
 * @param {readonly ZipFile[]} files
 * @returns {Blob}
 */
export function zip(files) {
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const parts = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */
  const directory = [];
  let offset = 0;
  for (const { name, bytes } of files) {
    const encoded = new Uint8Array(new TextEncoder().encode(name));
    const facts = [[4, crc32(bytes)], [4, bytes.length], [4, bytes.length], [2, encoded.length], [2, 0]];
    const local = record([[4, 0x04034b50], [2, 20], [2, UTF8_NAMES], [2, 0], [2, 0], [2, DATE], ...facts]);
    directory.push(
      record([[4, 0x02014b50], [2, 20], [2, 20], [2, UTF8_NAMES], [2, 0], [2, 0], [2, DATE], ...facts, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]]),
      encoded,
    );
    parts.push(local, encoded, bytes);
    offset += local.length + encoded.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.length, 0);
  const end = record([[4, 0x06054b50], [2, 0], [2, 0], [2, files.length], [2, files.length], [4, size], [4, offset], [2, 0]]);
  return new Blob([...parts, ...directory, end], { type: "application/zip" });
}

/**
 * Numbers with their sizes in bytes, little-endian.
 * @param {number[][]} fields
 */
function record(fields) {
  const bytes = new Uint8Array(fields.reduce((sum, [size]) => sum + (size ?? 0), 0));
  const view = new DataView(bytes.buffer);
  let offset = 0;
  for (const [size = 0, value = 0] of fields) {
    if (size === 4) view.setUint32(offset, value, true);
    else view.setUint16(offset, value, true);
    offset += size;
  }
  return bytes;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** @param {Uint8Array} bytes */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (TABLE[(crc ^ byte) & 255] ?? 0);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * Names made different by a number where they are the same: `a.txt`, `a-2.txt`. Case does not count.
 * @param {readonly string[]} names
 */
export function distinct(names) {
  /** @type {Set<string>} */
  const used = new Set();
  return names.map((name) => {
    const dot = name.lastIndexOf(".");
    let candidate = name;
    for (let number = 2; used.has(candidate.toLowerCase()); number += 1) {
      candidate = `${name.slice(0, dot)}-${number}${name.slice(dot)}`;
    }
    used.add(candidate.toLowerCase());
    return candidate;
  });
}
