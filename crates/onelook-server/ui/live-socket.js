// The WebSocket with live streams: names of streams in, frames and events out. Open only while there is
// something to watch; opens again after a break, ever less often.

import { token } from "./api.js";

/** @typedef {import("./api.js").Detection} Detection */
/** @typedef {import("./api.js").StreamEvent} StreamEvent */
/** @typedef {import("./api.js").StreamCounts} StreamCounts */
/** @typedef {Detection & { track_id?: number, speed?: number }} Tracked */
/**
 * @typedef {object} LiveFrame
 * @property {string} stream
 * @property {number} number
 * @property {number} width
 * @property {number} height
 * @property {Tracked[]} detections
 * @property {StreamCounts} counts
 */

const FIRST_PAUSE_MS = 500;
const LAST_PAUSE_MS = 10_000;

/** A token as the name of a protocol: headers cannot be set here. */
export function tokenProtocol(/** @type {string} */ held) {
  const bytes = new TextEncoder().encode(held);
  const base64 = btoa(String.fromCharCode(...bytes));
  return `onelook.token.${base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "")}`;
}

export class LiveSocket {
  constructor() {
    /** @type {string[]} */
    this.wanted = [];
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {LiveFrame | null} */
    this.described = null;
    this.pause = FIRST_PAUSE_MS;
    this.timer = 0;
    /** @type {(frame: LiveFrame, image: Blob) => void} */
    this.onFrame = () => {};
    /** @type {(event: StreamEvent) => void} */
    this.onEvent = () => {};
  }

  /**
   * Watches these streams from now on.
   * @param {string[]} names
   */
  watch(names) {
    const same = names.length === this.wanted.length && names.every((name, index) => name === this.wanted[index]);
    this.wanted = names;
    if (names.length === 0) this.#close();
    else if (this.socket === null) this.#open();
    else if (!same) this.#ask();
  }

  #open() {
    clearTimeout(this.timer);
    const address = new URL("/v1/streams/live", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    const held = token();
    const socket = new WebSocket(address, held === null ? ["onelook"] : ["onelook", tokenProtocol(held)]);
    socket.binaryType = "blob";
    this.socket = socket;
    socket.addEventListener("open", () => {
      this.pause = FIRST_PAUSE_MS;
      this.#ask();
    });
    socket.addEventListener("message", ({ data }) => this.#hear(data));
    socket.addEventListener("close", () => {
      if (this.socket !== socket) return;
      this.socket = null;
      if (this.wanted.length === 0) return;
      this.timer = setTimeout(() => this.#open(), this.pause);
      this.pause = Math.min(this.pause * 2, LAST_PAUSE_MS);
    });
  }

  #close() {
    clearTimeout(this.timer);
    this.socket?.close();
    this.socket = null;
    this.described = null;
  }

  #ask() {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify({ streams: this.wanted, fps: 10 }));
  }

  /** @param {unknown} data A frame's description comes just before its image. */
  #hear(data) {
    if (data instanceof Blob) {
      if (this.described) this.onFrame(this.described, data);
      this.described = null;
      return;
    }
    const told = JSON.parse(String(data));
    if (told.type === "frame") this.described = told;
    else if (told.type === "event") this.onEvent(told.event);
  }
}
