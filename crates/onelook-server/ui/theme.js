// The colours of the page, set before the first paint: in, what was chosen before; out,
// `data-theme` on the root element. A classic script, so that nothing flashes in the wrong colours;
// it must never wait for anything.
(() => {
  try {
    const theme = localStorage.getItem("onelook.theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; then the system's colours hold.
  }
})();
