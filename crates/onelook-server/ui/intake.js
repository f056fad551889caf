// Image files from the file dialog, the clipboard, and drag and drop. A dropped file never replaces
// the page.

import { get } from "./dom.js";

/**
 * @param {() => boolean} wanted Whether images are taken now.
 * @param {(files: File[]) => void} onFiles
 */
export function startIntake(wanted, onFiles) {
  const files = get("files", HTMLInputElement);
  for (const id of ["choose", "add"]) get(id).addEventListener("click", () => files.click());
  files.addEventListener("change", () => {
    onFiles([...(files.files ?? [])]);
    files.value = "";
  });
  document.addEventListener("paste", (event) => {
    const pasted = [...(event.clipboardData?.files ?? [])];
    if (pasted.length === 0 || !wanted()) return;
    event.preventDefault();
    onFiles(pasted);
  });
  startDrop(wanted, onFiles);
}

/**
 * @param {() => boolean} wanted
 * @param {(files: File[]) => void} onFiles
 */
function startDrop(wanted, onFiles) {
  let depth = 0;
  const veil = () => get("viewport").classList.toggle("dropping", depth > 0);
  const drag = (/** @type {DragEvent} */ event, /** @type {1 | -1} */ step) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    depth = Math.max(0, depth + step);
    veil();
  };
  document.addEventListener("dragenter", (event) => drag(event, 1));
  document.addEventListener("dragleave", (event) => drag(event, -1));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    veil();
    if (wanted()) onFiles([...(event.dataTransfer?.files ?? [])]);
  });
}
