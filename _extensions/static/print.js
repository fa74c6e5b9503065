/* Paper is white: a page in the dark theme prints in the light one, whose colours all of its parts have. */
(() => {
  "use strict";
  const page = document.documentElement;
  let theme;
  window.addEventListener("beforeprint", () => {
    theme = page.dataset.theme;
    page.dataset.theme = "light";
  });
  window.addEventListener("afterprint", () => {
    page.dataset.theme = theme;
  });
})();
