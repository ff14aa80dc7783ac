// Routes and keys. The view is in the address: `#/`, `#/cases?...`, `#/case/ID`.
let lastFilters = "";

function remembered(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch (error) {
    // A sandboxed frame has no storage: the choice lasts as long as the page.
  }
  return null;
}

function show(view) {
  for (const name of ["overview", "cases", "case"]) $(name).hidden = name !== view;
  for (const [tab, chosen] of [["tab-overview", view === "overview"], ["tab-cases", view !== "overview"]]) {
    if (chosen) $(tab).setAttribute("aria-current", "page");
    else $(tab).removeAttribute("aria-current");
  }
}

async function route() {
  const {hash} = location;
  if (hash && !hash.startsWith("#/")) { show("overview"); return; }
  const [path, query] = splitOnce(hash.slice(2), "?");
  const parameters = new URLSearchParams(query);
  if (path === "cases") {
    lastFilters = query ? `?${query}` : "";
    show("cases");
    applyFilters(parameters);
    drawRows(true);
    document.title = `Cases – ${reportTitle}`;
  } else if (path.startsWith("case/")) {
    if (!table.key) applyFilters(new URLSearchParams());
    show("case");
    scrollTo(0, 0);
    await showCase(decoded(path.slice(5)), parameters);
    const title = $("case-title");
    if (title) title.focus({preventScroll: true});
  } else {
    show("overview");
    document.title = reportTitle;
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return text;
  }
}

function filtersChanged() {
  const parameters = new URLSearchParams();
  for (const name of FILTERS) if ($(`f-${name}`).value) parameters.set(name, $(`f-${name}`).value);
  const query = parameters.toString();
  lastFilters = query ? `?${query}` : "";
  applyFilters(parameters);
  try {
    history.replaceState(null, "", `#/cases${lastFilters}`);
  } catch (error) {
    location.hash = `#/cases${lastFilters}`;
  }
}

let keysOn = true;
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (event.target.closest("input, select, textarea")) return;
  if (event.key === "Escape" && !$("case").hidden) { location.hash = `#/cases${lastFilters}`; return; }
  if (!keysOn) return;
  if (event.key === "?") { $("help").showModal(); return; }
  if ($("case").hidden) return;
  const moves = {j: [1], k: [-1], "]": [1, true], "[": [-1, true]};
  if (moves[event.key]) step(...moves[event.key]);
  else if (event.key === "c") copyLink();
}

function setUpTheme() {
  const root = document.documentElement;
  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remembered("evalkit-theme", root.dataset.theme);
  });
}

function setUpHelp() {
  keysOn = remembered("evalkit-keys") !== "off";
  $("keys-on").checked = keysOn;
  $("keys-on").addEventListener("change", () => {
    keysOn = $("keys-on").checked;
    remembered("evalkit-keys", keysOn ? "on" : "off");
  });
  $("help-open").addEventListener("click", () => $("help").showModal());
  $("help-close").addEventListener("click", () => $("help").close());
}

function setUpCases() {
  fillFilters();
  let waiting = 0;
  $("filters").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filtersChanged, 60); });
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(filtersChanged));
  $("grid-scroll").addEventListener("scroll", () => requestAnimationFrame(() => drawRows(false)), {passive: true});
  $("grid-scroll").addEventListener("keydown", gridKey);
  addEventListener("resize", () => { if (!$("cases").hidden) drawRows(true); });
}

const reportTitle = document.title;
async function start() {
  setUpTheme();
  setUpHelp();
  document.addEventListener("keydown", onKey);
  await loadIndex();
  $("count").textContent = count(data.rows.length);
  setUpCases();
  addEventListener("hashchange", () => route().catch(complain));
  await route();
  document.documentElement.dataset.ready = "true";
}

function complain(error) {
  $("problem").hidden = false;
  $("problem").textContent = `The cases could not be opened: ${error.message}`;
}
start().catch(complain);
