// What was counted at a place, in words.

import { t } from "./i18n.js";

/** @typedef {import("./api.js").ZoneCount} ZoneCount */

/**
 * Who is in a zone and who came: from outside, and apart from them those first seen inside.
 * @param {ZoneCount | undefined} zone
 * @returns {string}
 */
export function zoneText(zone) {
  const text = t("streams.zoneCount", { inside: zone?.inside ?? 0, entered: zone?.entered ?? 0 });
  const born = zone?.born_inside ?? 0;
  return born > 0 ? `${text} · ${t("streams.zoneBorn", { count: born })}` : text;
}
