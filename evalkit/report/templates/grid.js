// The table of cases: rows drawn only where they are seen, or pages of 100 in a plain table.
const DRAWN_BEYOND = 5;
const PAGE_ROWS = 100;

routes.cases = (rest, parameters, query) => {
  table.lastQuery = query ? `?${query}` : "";
  applyFilters(parameters);
  drawTable(true);
  document.title = `Cases – ${reportTitle}`;
};

setUps.push(() => {
  fillFilters();
  let waiting = 0;
  $("filters").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(filtersChanged); });
  // The texts are made, and laid flat by a first search, before the first key is pressed.
  $("f-q").addEventListener("focus", () => data.rows.forEach((row) => searched(row).includes("\n\n")), {once: true});
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(() => { table.opinion = {}; filtersChanged(); }));
  $("grid-scroll").addEventListener("scroll", () => requestAnimationFrame(() => drawRows(false)), {passive: true});
  $("grid-scroll").addEventListener("keydown", gridKey);
  $("grid-scroll").addEventListener("click", (event) => {
    const row = event.target.closest(".row");
    if (row && !event.target.closest("a")) go(caseLink(data.rows[table.found[placeIn(row)]]));
  });
  $("grid-scroll").addEventListener("focusin", (event) => {
    const row = event.target.closest(".row");
    if (row) table.focus = placeIn(row);
  });
  addEventListener("resize", () => { if (!$("cases").hidden) drawTable(true); });
  setPlain(remembered("evalkit-plain") === "on");
  $("plain").addEventListener("click", () => {
    setPlain(!table.plain);
    remembered("evalkit-plain", table.plain ? "on" : "off");
    drawTable(true);
  });
});

function setPlain(on) {
  table.plain = on;
  $("plain").setAttribute("aria-pressed", String(on));
  $("grid").hidden = on;
  $("pages").hidden = !on;
}

function drawTable(fresh) {
  $("none-found").hidden = table.found.length > 0;
  if (table.plain) { drawPage(); return; }
  drawHead();
  drawRows(fresh);
}

function shownMetrics() {
  const {metrics, order} = data.legend;
  if (!table.scorer) return order.slice(0, 4);
  const chosen = metrics.findIndex((metric) => metric.name === table.scorer);
  return chosen < 0 ? order.slice(0, 4) : [chosen];
}

function drawHead() {
  const names = ["State", "Case", "Question", ...shownMetrics().map((place) => data.legend.metrics[place].name), "Latency"];
  $("grid-head").replaceChildren(...names.map((name, place) =>
    make("span", {role: "columnheader", "aria-colindex": place + 1, class: place > 2 ? "num" : null, text: visible(name)})));
  $("grid").dataset.scores = shownMetrics().length;
  table.high = parseFloat(getComputedStyle($("grid")).getPropertyValue("--row")) || 44;
}

function drawRows(fresh) {
  const scroll = $("grid-scroll"), space = $("grid-space"), {high} = table;
  if (fresh) space.style.height = `${table.found.length * high}px`;
  const first = Math.max(0, Math.floor(scroll.scrollTop / high) - DRAWN_BEYOND);
  const last = Math.min(table.found.length, Math.ceil((scroll.scrollTop + scroll.clientHeight) / high) + DRAWN_BEYOND);
  if (!fresh && table.first === first && table.last === last) return;
  const hadFocus = space.contains(document.activeElement);
  // Rows that stay are not touched: taking them out and in again would lay them out again.
  const kept = fresh ? [] : [...space.children].filter((row) => first <= placeIn(row) && placeIn(row) < last);
  if (!kept.length) space.replaceChildren();
  else for (const row of [...space.children]) if (!kept.includes(row)) row.remove();
  const from = kept.length ? placeIn(kept[0]) : last, to = kept.length ? placeIn(kept[kept.length - 1]) + 1 : last;
  Object.assign(table, {first, last});
  space.prepend(...drawnRows(first, from));
  space.append(...drawnRows(to, last));
  if (hadFocus) focusRow(false);
}

const placeIn = (row) => row.getAttribute("aria-rowindex") - 2;

function drawnRows(from, to) {
  const metrics = shownMetrics(), drawn = [];
  for (let at = from; at < to; at += 1) drawn.push(drawRow(at, table.high, metrics));
  return drawn;
}

// The cells of a row as [class, children, label, direction]: what the grid and the plain table both show.
function cellsOf(row, metrics) {
  const change = changeOf(row);
  const notes = [row[COL.repeat] ? `repeat ${row[COL.repeat]}` : "", ...cohortsOf(row).map((name) => splitOnce(name, "=")[1])];
  return [
    ["state", [verdictMark(verdictOf(row)), change && change !== "same" ? make("small", {text: change}) : null]],
    ["id", [make("a", {href: caseLink(row), dir: "auto", text: visible(row[COL.id])}),
      make("small", {dir: "auto", text: visible(notes.filter(Boolean).join(" · "))})]],
    ["question", [visible(row[COL.question])], null, "auto"],
    ...metrics.map((metric) => scoreCell(row, metric)),
    ["num", [row[COL.latency] === null ? "–" : seconds(row[COL.latency])], "latency"],
  ];
}

function scoreCell(row, metric) {
  const mark = row[COL.marks][metric] || "-", value = row[COL.values][metric], was = wasOf(row, metric);
  const shown = failedOtherwise(data.legend.metrics[metric], value, mark === "f") ? "failed" : number(value);
  const text = mark === "u" ? "unscored" : `${mark === "f" ? "✗ " : ""}${shown}`;
  const moved = was !== undefined && value !== null && value !== undefined && was !== value;
  return [`num m-${mark === "-" ? "none" : mark}`, [text, moved ? make("small", {text: `was ${number(was)}`}) : null],
    visible(data.legend.metrics[metric].name)];
}

function drawRow(at, high, metrics) {
  const cells = cellsOf(data.rows[table.found[at]], metrics).map(([name, children, label, dir], place) =>
    make("span", {role: "gridcell", "aria-colindex": place + 1, class: name, "data-label": label, dir}, ...children));
  cells[1].firstChild.tabIndex = -1;
  const element = make("div", {class: "row", role: "row", "aria-rowindex": at + 2, tabindex: at === table.focus ? 0 : -1}, ...cells);
  element.style.top = `${at * high}px`;
  return element;
}

function drawPage() {
  const pages = Math.max(1, Math.ceil(table.found.length / PAGE_ROWS));
  table.page = Math.min(Math.max(table.page || 0, 0), pages - 1);
  const from = table.page * PAGE_ROWS, metrics = shownMetrics();
  const names = ["State", "Case", "Question", ...metrics.map((place) => data.legend.metrics[place].name), "Latency"];
  const turn = (by, text) => make("button", {type: "button", disabled: table.page + by < 0 || table.page + by >= pages, text,
    on: {click: () => { table.page += by; drawPage(); $("pages").querySelector("caption").focus(); }}});
  const bar = () => make("p", {class: "moves"}, turn(-1, "Previous page"), turn(1, "Next page"),
    make("span", {text: `page ${count(table.page + 1)} of ${count(pages)}`}));
  const rows = table.found.slice(from, from + PAGE_ROWS).map((place) => make("tr", {},
    ...cellsOf(data.rows[place], metrics).map(([name, children, label, dir]) => make("td", {class: name, "data-label": label, dir}, ...children))));
  $("pages").replaceChildren(bar(), make("div", {class: "wide", role: "group", "aria-label": "Cases", tabindex: 0}, make("table", {class: "plain"},
    make("caption", {tabindex: -1, text: `Cases ${count(Math.min(from + 1, table.found.length))} to ${count(Math.min(from + PAGE_ROWS, table.found.length))} of ${count(table.found.length)}`}),
    make("thead", {}, make("tr", {}, ...names.map((name) => make("th", {scope: "col", text: visible(name)})))),
    make("tbody", {}, ...rows))), bar());
}

function focusRow(move = true) {
  const scroll = $("grid-scroll"), {high} = table, top = table.focus * high;
  if (move && top < scroll.scrollTop) scroll.scrollTop = top;
  if (move && top + high > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + high - scroll.clientHeight;
  if (move) drawRows(false);
  const element = $("grid-space").querySelector(`[aria-rowindex="${table.focus + 2}"]`);
  for (const row of $("grid-space").children) row.tabIndex = row === element ? 0 : -1;
  if (element) element.focus({preventScroll: true});
}

function gridKey(event) {
  const page = Math.max(1, Math.floor($("grid-scroll").clientHeight / table.high) - 1), last = table.found.length - 1;
  const next = {ArrowDown: table.focus + 1, ArrowUp: table.focus - 1, PageDown: table.focus + page,
    PageUp: table.focus - page, Home: 0, End: last}[event.key];
  if (event.key === "Enter" && table.found.length) go(caseLink(data.rows[table.found[table.focus]]));
  if (next === undefined || last < 0) return;
  event.preventDefault();
  table.focus = Math.min(Math.max(next, 0), last);
  focusRow();
}
