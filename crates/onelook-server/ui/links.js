// Links to /metrics and /openapi.json on a server that requires a token. A link cannot send the
// token, so the text is fetched with it and shown in this tab. The token never gets into a URL.

import { request, token } from "./api.js";
import { get, message } from "./dom.js";
import { explain } from "./problem.js";

/** @param {string} place Id of the element for what goes wrong. */
export function startLinks(place) {
  for (const link of document.querySelectorAll('a[href="/metrics"], a[href="/openapi.json"]')) {
    link.addEventListener("click", (event) => {
      if (token() === null) return;
      event.preventDefault();
      void follow(link.getAttribute("href") ?? "/", place);
    });
  }
}

/**
 * @param {string} path
 * @param {string} place
 */
async function follow(path, place) {
  try {
    const text = await (await request(path)).text();
    location.assign(URL.createObjectURL(new Blob([text], { type: "text/plain; charset=utf-8" })));
  } catch (error) {
    message(get(place), explain(error));
  }
}
