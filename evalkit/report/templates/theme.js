// Runs before the first paint, so that a chosen theme does not flash. In a browser that cannot unpack or show the cases the page
// stays as it is without scripts, and links to cases lead to the words that say so. It is written for such browsers.
if (typeof DecompressionStream === "function" && "replaceChildren" in Element.prototype) {
  document.documentElement.classList.add("js");
} else {
  document.documentElement.classList.add("old");
  addEventListener("click", (event) => {
    if (!event.target.closest("a[href^='#/c']")) return;
    event.preventDefault();
    document.getElementById("no-cases").scrollIntoView();
  });
}
try {
  const theme = localStorage.getItem("evalkit-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch (error) {
  // A sandboxed frame has no storage: the system's theme is used.
}
