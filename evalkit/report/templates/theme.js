// Runs before the first paint, so that a chosen theme does not flash.
document.documentElement.classList.add("js");
try {
  const theme = localStorage.getItem("evalkit-theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch (error) {
  // A sandboxed frame has no storage: the system's theme is used.
}
