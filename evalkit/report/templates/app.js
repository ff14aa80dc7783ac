// Views, keys and the theme. The view is in the address: `#/`, `#/cases?...`, `#/case/ID`, `#/judges` ...
const VIEWS = [...document.querySelectorAll("main > [data-view]")].map((view) => view.id);

function show(view) {
  for (const name of VIEWS) $(name).hidden = name !== view;
  for (const tab of document.querySelectorAll("nav [data-tab]")) {
    const chosen = tab.dataset.tab === (view === "case" ? "cases" : view);
    if (chosen) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
}

async function route() {
  const hash = here();
  if (hash && !hash.startsWith("#/")) { showAround(hash.slice(1)); return; }
  const [path, query] = splitOnce(hash.slice(2), "?");
  const [name, rest] = splitOnce(path, "/");
  const view = VIEWS.includes(name) ? name : "overview";
  const changed = $(view).hidden;
  show(view);
  if (changed && view !== "case") scrollTo(0, 0);
  document.title = view === "overview" ? reportTitle : `${$(view).dataset.view} – ${reportTitle}`;
  if (routes[view] && data.legend) await routes[view](decoded(rest), new URLSearchParams(query), query);
}

// An anchor of a section, such as `#gate`: its view is shown.
function showAround(id) {
  const target = document.getElementById(decoded(id)), view = target && target.closest("[data-view]");
  show(view ? view.id : "overview");
  if (target) target.scrollIntoView();
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    return text;
  }
}

function followLink(event) {
  const link = event.target.closest("a[href^='#/']");
  if (!link || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.getAttribute("href"));
}

let keysOn = true;
function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (event.target.closest("input, select, textarea")) return;
  if (event.key === "Escape" && !$("case").hidden) { go(`#/cases${table.lastQuery}`); return; }
  if (!keysOn) return;
  if (event.key === "?") { $("help").showModal(); return; }
  if ($("case").hidden) return;
  const moves = {j: [1], k: [-1], "]": [1, true], "[": [-1, true]};
  if (moves[event.key]) step(...moves[event.key]);
  else if (event.key === "c") copyLink();
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

const reportTitle = document.title;
async function start() {
  setUpTheme();
  setUpHelp();
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", () => route().catch(complain));
  document.addEventListener("click", followLink);
  route().catch(complain);
  await loadIndex();
  $("count").textContent = count(data.rows.length);
  for (const setUp of setUps) await setUp();
  await route();
  document.documentElement.dataset.ready = "true";
  performance.mark("ready");
}

function complain(error) {
  $("problem").hidden = false;
  $("problem").textContent = `The cases could not be opened: ${error.message}`;
}
start().catch(complain);
