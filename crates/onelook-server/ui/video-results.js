// The results of a video: bytes of JSON lines in, frames by time out, and the same as files. Knows no page.

/** @typedef {import("./live-socket.js").Tracked} Tracked */
/** @typedef {{ frame: number, time: number, detections: Tracked[] }} FrameResult */
/** @typedef {{ time: number, place: string, event: string, direction?: "in" | "out", name?: string | null, track_id?: number }} PlaceEvent */
/** @typedef {{ name: string, class: number, tracks: number, bins: number[] }} Row */

/** A result holds no longer than this without a newer one, in seconds. */
const LONGEST_HOLD = 0.6;

export class VideoResults {
  constructor() {
    /** Bytes that were read. */
    this.bytes = 0;
    /** @type {string[]} */
    this.parts = [];
    /** @type {{ width: number, height: number, fps: number | null, duration: number | null } | null} */
    this.video = null;
    /** @type {FrameResult[]} */
    this.frames = [];
    /** @type {PlaceEvent[]} */
    this.events = [];
  }

  /** @param {Uint8Array} bytes Whole lines. */
  add(bytes) {
    this.bytes += bytes.length;
    const text = new TextDecoder().decode(bytes);
    this.parts.push(text);
    for (const line of text.split("\n")) {
      if (line === "") continue;
      const value = JSON.parse(line);
      if (value.video) this.video = value.video;
      else if (value.event) this.events.push(value.event);
      else if (value.detections) this.frames.push(value);
    }
  }

  /**
   * What is on the video at this time.
   * @param {number} time Seconds.
   * @returns {FrameResult | null}
   */
  at(time) {
    const { frames } = this;
    let [low, high] = [0, frames.length];
    // Frames are shown a little before the time that the player tells.
    const until = time + 0.004;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((frames[middle]?.time ?? 0) <= until) low = middle + 1;
      else high = middle;
    }
    const found = frames[low - 1];
    return found && time - found.time < LONGEST_HOLD ? found : null;
  }

  /** Seconds, as far as they are known. */
  get duration() {
    return Math.max(this.video?.duration ?? 0, this.frames.at(-1)?.time ?? 0);
  }

  /**
   * For each class, the largest number of its objects at one time in each part of the video; the class with the most
   * first.
   * @param {number} count Of parts.
   * @returns {Row[]}
   */
  rows(count) {
    const duration = Math.max(this.duration, 0.001);
    /** @type {Map<number, Row & { ids: Set<number> }>} */
    const rows = new Map();
    for (const { time, detections } of this.frames) {
      const bin = Math.min(count - 1, Math.floor((time / duration) * count));
      /** @type {Map<number, number>} */
      const here = new Map();
      for (const found of detections) {
        const row = rows.get(found.class) ?? { name: found.name, class: found.class, tracks: 0, bins: new Array(count).fill(0), ids: new Set() };
        rows.set(found.class, row);
        if (found.track_id !== undefined) row.ids.add(found.track_id);
        here.set(found.class, (here.get(found.class) ?? 0) + 1);
      }
      for (const [id, many] of here) {
        const row = rows.get(id);
        if (row) row.bins[bin] = Math.max(row.bins[bin] ?? 0, many);
      }
    }
    const whole = (/** @type {Row} */ row) => row.bins.reduce((sum, value) => sum + value, 0);
    return [...rows.values()].map(({ ids, ...row }) => ({ ...row, tracks: ids.size })).sort((a, b) => whole(b) - whole(a));
  }

  /** The lines as they came. */
  jsonLines() {
    return this.parts.join("");
  }

  /** A line for each object. */
  csv() {
    const quoted = (/** @type {string} */ text) => (/[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const lines = ["frame,time,track_id,class,name,confidence,x1,y1,x2,y2"];
    for (const { frame, time, detections } of this.frames) {
      for (const { box, ...found } of detections) {
        lines.push([frame, time, found.track_id ?? "", found.class, quoted(found.name), found.confidence, box.x1, box.y1, box.x2, box.y2].join(","));
      }
    }
    return `${lines.join("\n")}\n`;
  }

  /** Tracks in the format of the MOTChallenge, whose frames begin with 1. */
  mot() {
    const lines = [];
    for (const { frame, detections } of this.frames) {
      for (const { box, track_id, confidence } of detections) {
        const [x, y, w, h] = [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1].map((value) => value.toFixed(2));
        lines.push(`${frame + 1},${track_id ?? -1},${x},${y},${w},${h},${confidence.toFixed(4)},-1,-1,-1\n`);
      }
    }
    return lines.join("");
  }
}
