// The table of cases: filters, sort, and rows drawn only where they are seen.
const table = {found: [], focus: 0, key: ""};
const FILTERS = ["q", "cohort", "scorer", "state", "change", "sort"];
const DRAWN_BEYOND = 8;

function option(value, text) { return make("option", {value, text: visible(text)}); }

function fillFilters() {
  const {cohorts, metrics, verdicts, changes} = data.legend;
  $("f-cohort").append(option("", "all"));
  for (const [name, values] of cohorts) {
    const group = make("optgroup", {label: visible(name)});
    [...values].sort().forEach((value) => group.append(option(`${name}=${value}`, `${name}=${value}`)));
    $("f-cohort").append(group);
  }
  $("f-scorer").append(option("", "all"),
    ...data.legend.order.map((place) => option(metrics[place].name, metrics[place].name)));
  $("f-state").append(option("", "all"), ...verdicts.map((name) => option(name, WORDS[name])));
  $("f-change").append(option("", "all"), ...changes.filter(Boolean).map((name) => option(name, name)));
  $("f-sort").append(option("", "worst first"), option("id", "id"), option("score", "score, worst first"),
    option("drop", "change, worst first"), option("latency", "slowest first"));
}

// What a row must satisfy, as one function; the scorer narrows what a state means.
function matcher(wanted) {
  const {legend} = data;
  const [cohort, value] = splitOnce(wanted.cohort, "=");
  const place = legend.cohorts.findIndex(([name]) => name === cohort);
  const code = place < 0 ? -2 : legend.cohorts[place][1].indexOf(value);
  const metric = legend.metrics.findIndex((entry) => entry.name === wanted.scorer);
  const verdict = legend.verdicts.indexOf(wanted.state), change = legend.changes.indexOf(wanted.change);
  const mark = {failed: "f", passed: "p", unscored: "u", scored: "s"}[wanted.state];
  const text = wanted.q.trim().toLowerCase();
  return (row) => {
    if (wanted.cohort && row[COL.cohorts][place] !== code) return false;
    if (wanted.change && row[COL.change] !== change) return false;
    if (wanted.scorer) {
      const found = row[COL.marks][metric] || "-";
      if (wanted.state && mark ? found !== mark : found === "-") return false;
      if (wanted.state && !mark && row[COL.verdict] !== verdict) return false;
    } else if (wanted.state && row[COL.verdict] !== verdict) return false;
    return !text || row.text.includes(text);
  };
}

function splitOnce(text, mark) {
  const place = text.indexOf(mark);
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}

const CHANGE_ORDER = {"new failure": 0, "still failing": 1, removed: 2, changed: 3, added: 4, fixed: 5, same: 6, "": 6};
function sorter(name, scorer) {
  const {metrics} = data.legend;
  const metric = Math.max(0, metrics.findIndex((entry) => entry.name === scorer));
  const sign = metrics[metric] && metrics[metric].higher === false ? -1 : 1;
  const score = (row) => { const value = row[COL.values][metric]; return value === null || value === undefined ? Infinity : sign * value; };
  const worst = (a, b) => a[COL.verdict] - b[COL.verdict]
    || CHANGE_ORDER[changeOf(a)] - CHANGE_ORDER[changeOf(b)] || b[COL.severity] - a[COL.severity];
  const orders = {
    "": worst,
    id: (a, b) => a[COL.id] < b[COL.id] ? -1 : a[COL.id] > b[COL.id] ? 1 : a[COL.repeat] - b[COL.repeat],
    score: (a, b) => { const x = score(a), y = score(b); return x === y ? worst(a, b) : x - y; },
    drop: (a, b) => CHANGE_ORDER[changeOf(a)] - CHANGE_ORDER[changeOf(b)] || worst(a, b),
    latency: (a, b) => (b[COL.latency] ?? -1) - (a[COL.latency] ?? -1),
  };
  return orders[name] || worst;
}

function applyFilters(parameters) {
  const wanted = Object.fromEntries(FILTERS.map((name) => [name, parameters.get(name) || ""]));
  for (const name of FILTERS) $(`f-${name}`).value = wanted[name];
  const key = JSON.stringify(wanted);
  if (key === table.key) return;
  const keeps = matcher(wanted), before = sorter(wanted.sort, wanted.scorer), {rows} = data;
  const found = [];
  for (let place = 0; place < rows.length; place += 1) if (keeps(rows[place])) found.push(place);
  found.sort((a, b) => before(rows[a], rows[b]) || a - b);
  Object.assign(table, {found, key, focus: 0});
  $("status").textContent = found.length === rows.length ? `${count(rows.length)} cases`
    : `${count(found.length)} of ${count(rows.length)} cases`;
  $("grid").setAttribute("aria-rowcount", found.length + 1);
  $("grid-scroll").scrollTop = 0;
  drawHead(wanted.scorer);
  drawRows(true);
}

function shownMetrics() {
  const chosen = $("f-scorer").value, {metrics} = data.legend;
  if (!chosen) return data.legend.order.slice(0, 4);
  return [metrics.findIndex((metric) => metric.name === chosen)];
}

function drawHead() {
  const names = ["State", "Case", "Question", ...shownMetrics().map((place) => data.legend.metrics[place].name), "Latency"];
  const head = $("grid-head");
  head.replaceChildren(...names.map((name, place) =>
    make("span", {role: "columnheader", "aria-colindex": place + 1, class: place > 2 ? "num" : null, text: visible(name)})));
  $("grid").dataset.scores = shownMetrics().length;
}

function rowHeight() { return parseFloat(getComputedStyle($("grid")).getPropertyValue("--row")) || 44; }

function drawRows(fresh) {
  const scroll = $("grid-scroll"), space = $("grid-space"), high = rowHeight();
  space.style.height = `${table.found.length * high}px`;
  const first = Math.max(0, Math.floor(scroll.scrollTop / high) - DRAWN_BEYOND);
  const last = Math.min(table.found.length, Math.ceil((scroll.scrollTop + scroll.clientHeight) / high) + DRAWN_BEYOND);
  if (!fresh && table.first === first && table.last === last) return;
  const hadFocus = space.contains(document.activeElement);
  Object.assign(table, {first, last});
  const metrics = shownMetrics();
  const drawn = [];
  for (let at = first; at < last; at += 1) drawn.push(drawRow(at, high, metrics));
  if (!table.found.length) drawn.push(make("p", {class: "empty", text: "No case matches. Clear the filters to see all."}));
  space.replaceChildren(...drawn);
  if (hadFocus) focusRow(false);
}

function drawRow(at, high, metrics) {
  const row = data.rows[table.found[at]], change = changeOf(row);
  const cell = (place, options, ...children) => make("span", {role: "gridcell", "aria-colindex": place, ...options}, ...children);
  const scores = metrics.map((metric, place) => {
    const mark = row[COL.marks][metric] || "-";
    const icon = {f: "✗ ", p: "", s: "", u: "unscored", "-": ""}[mark];
    const text = mark === "u" ? icon : icon + number(row[COL.values][metric]);
    return cell(4 + place, {class: `num m-${mark === "-" ? "none" : mark}`, "data-label": visible(data.legend.metrics[metric].name), text});
  });
  const element = make("div", {class: "row", role: "row", "aria-rowindex": at + 2, tabindex: at === table.focus ? 0 : -1},
    cell(1, {class: "state"}, verdictMark(verdictOf(row)), change && change !== "same" ? make("small", {text: change}) : null),
    cell(2, {class: "id"}, make("a", {href: caseLink(row), tabindex: -1, dir: "auto", text: visible(row[COL.id])}),
      make("small", {dir: "auto", text: visible([row[COL.repeat] ? `repeat ${row[COL.repeat]}` : "",
        ...cohortsOf(row).map((name) => splitOnce(name, "=")[1])].filter(Boolean).join(" · "))})),
    cell(3, {class: "question", dir: "auto", text: visible(row[COL.question])}),
    ...scores,
    cell(4 + metrics.length, {class: "num", "data-label": "latency", text: row[COL.latency] === null ? "–" : seconds(row[COL.latency])}));
  element.style.top = `${at * high}px`;
  element.addEventListener("click", (event) => { if (!event.target.closest("a")) location.hash = caseLink(row); });
  element.addEventListener("focus", () => { table.focus = at; });
  return element;
}

function focusRow(move = true) {
  const scroll = $("grid-scroll"), high = rowHeight(), top = table.focus * high;
  if (move && top < scroll.scrollTop) scroll.scrollTop = top;
  if (move && top + high > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + high - scroll.clientHeight;
  if (move) drawRows(true);
  const element = $("grid-space").querySelector(`[aria-rowindex="${table.focus + 2}"]`);
  if (element) { element.tabIndex = 0; element.focus({preventScroll: true}); }
}

function gridKey(event) {
  const page = Math.max(1, Math.floor($("grid-scroll").clientHeight / rowHeight()) - 1), last = table.found.length - 1;
  const next = {ArrowDown: table.focus + 1, ArrowUp: table.focus - 1, PageDown: table.focus + page,
    PageUp: table.focus - page, Home: 0, End: last}[event.key];
  if (event.key === "Enter" && table.found.length) location.hash = caseLink(data.rows[table.found[table.focus]]);
  if (next === undefined || last < 0) return;
  event.preventDefault();
  table.focus = Math.min(Math.max(next, 0), last);
  focusRow();
}
