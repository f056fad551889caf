// Sets `data-theme` on the root element from the stored choice before the first paint. A classic
// script, because a module would run too late and the page would flash.
(() => {
  try {
    const theme = localStorage.getItem("onelook.theme");
    if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; then the system's colours hold.
  }
})();
