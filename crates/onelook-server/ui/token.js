// The button that changes the token or forgets it. It is there while the tab holds a token.

import { onToken, setToken, token } from "./api.js";
import { changeToken } from "./dialogs.js";
import { announce, get } from "./dom.js";
import { t } from "./i18n.js";

/** @param {() => void} onChanged Called after the user changed the token. */
export function startToken(onChanged) {
  const button = get("token-change");
  const show = () => {
    button.hidden = token() === null;
  };
  onToken(show);
  show();
  button.addEventListener("click", async () => {
    const answer = await changeToken();
    if (answer === undefined) return;
    setToken(answer);
    announce(t(answer === null ? "token.forgotten" : "token.changed"));
    onChanged();
  });
}
