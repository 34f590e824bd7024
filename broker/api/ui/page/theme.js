// The theme is set before anything is drawn. It is no secret, so it outlives the tab.
"use strict";
(() => {
  let theme = "auto";
  try {
    theme = localStorage.getItem("skein.theme") || "auto";
  } catch { /* storage may be switched off: the system's theme then */ }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
