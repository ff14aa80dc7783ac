// What the table of cases shows and in which order: all of it stands in the address.
const FILTERS = ["q", "cohort", "scorer", "state", "change", "flag", "error", "sort"];
// Cells of a confusion matrix filter by these; they have no box of their own.
const OPINION = ["by", "human", "judge"];
const table = {found: [], focus: 0, key: "", opinion: {}, lastQuery: ""};

function option(value, text) { return make("option", {value, text: visible(text)}); }

function fillFilters() {
  const {cohorts, metrics, verdicts, changes, slugs, flags, errors} = data.legend;
  $("f-cohort").append(option("", "all"));
  for (const [name, values] of cohorts) {
    const group = make("optgroup", {label: visible(name)});
    [...values].sort().forEach((value) => group.append(option(`${name}=${value}`, `${name}=${value}`)));
    $("f-cohort").append(group);
  }
  const seen = (place, known) => known.filter((name, at) => data.rows.some((row) => row[place] === at));
  const flagged = data.rows.reduce((bits, row) => bits | row[COL.flags], 0);
  $("f-scorer").append(option("", "all"),
    ...data.legend.order.map((place) => option(metrics[place].name, metrics[place].name)));
  $("f-state").append(option("", "all"), ...seen(COL.verdict, verdicts).map((name) => option(name, WORDS[name])));
  $("f-change").append(option("", "all"),
    ...seen(COL.change, changes).filter(Boolean).map((name) => option(slugs[changes.indexOf(name)], name)));
  $("f-flag").append(option("", "all"),
    ...flags.filter((name, place) => flagged & (1 << place)).map((name) => option(slugOf(name), name)));
  $("f-error").append(option("", "all"), ...errors.map((name) => option(name, name)));
  $("f-sort").append(option("", "worst first"), option("drop", "largest drop first"), option("score", "lowest score first"),
    option("latency", "slowest first"), option("id", "id"));
  $("f-change").parentElement.hidden = !data.rows.some((row) => changeOf(row));
  $("f-flag").parentElement.hidden = !flagged;
  $("f-error").parentElement.hidden = !errors.length;
}

const slugOf = (name) => name.replaceAll(" ", "_");

// `cohort=aml` is enough where one cohort has that value.
function cohortPlace(text) {
  const {cohorts} = data.legend;
  const [name, value] = splitOnce(text, "=");
  const place = cohorts.findIndex((entry) => entry[0] === name);
  if (place >= 0 && cohorts[place][1].includes(value)) return [place, cohorts[place][1].indexOf(value)];
  const other = cohorts.findIndex(([, values]) => values.includes(text));
  return other < 0 ? [0, -2] : [other, cohorts[other][1].indexOf(text)];
}

// What a row must satisfy, as one function; the scorer narrows what a state means.
function matcher(wanted) {
  const {legend} = data;
  const [place, code] = cohortPlace(wanted.cohort);
  const metric = legend.metrics.findIndex((entry) => entry.name === wanted.scorer);
  const verdict = legend.verdicts.indexOf(wanted.state);
  const change = legend.slugs.includes(wanted.change) ? legend.slugs.indexOf(wanted.change) : legend.changes.indexOf(wanted.change);
  const flag = 1 << legend.flags.map(slugOf).indexOf(slugOf(wanted.flag)), error = legend.errors.indexOf(wanted.error);
  const mark = {failed: "f", passed: "p", unscored: "u", scored: "s"}[wanted.state];
  const asksOpinion = OPINION.some((name) => wanted[name]);
  const text = wanted.q.trim().toLowerCase();
  return (row) => {
    if (wanted.cohort && row[COL.cohorts][place] !== code) return false;
    if (wanted.change && row[COL.change] !== change) return false;
    if (wanted.flag && !(row[COL.flags] & flag)) return false;
    if (wanted.error && row[COL.error] !== error) return false;
    if (asksOpinion && !hasOpinion(row, wanted)) return false;
    if (wanted.scorer && !asksOpinion) {
      const found = row[COL.marks][metric] || "-";
      if (wanted.state && mark ? found !== mark : found === "-") return false;
      if (wanted.state && !mark && row[COL.verdict] !== verdict) return false;
    } else if (wanted.state && row[COL.verdict] !== verdict) return false;
    return !text || searched(row).includes(text);
  };
}

function hasOpinion(row, wanted) {
  return (row[COL.opinions] || []).some(([metric, by, human, judge]) => (!wanted.scorer || wanted.scorer === metric)
    && (!wanted.by || wanted.by === by) && (!wanted.human || wanted.human === human) && (!wanted.judge || wanted.judge === judge));
}

const CHANGE_ORDER = {"new failure": 0, "still failing": 1, removed: 2, changed: 3, added: 4, fixed: 5, same: 6, "": 6};
function sorter(name, scorer) {
  const {metrics} = data.legend;
  const chosen = metrics.findIndex((entry) => entry.name === scorer), metric = Math.max(0, chosen);
  const sign = metrics[metric] && metrics[metric].higher === false ? -1 : 1;
  const score = (row) => { const value = row[COL.values][metric]; return value === null || value === undefined ? Infinity : sign * value; };
  const worst = (a, b) => a[COL.verdict] - b[COL.verdict]
    || CHANGE_ORDER[changeOf(a)] - CHANGE_ORDER[changeOf(b)] || b[COL.severity] - a[COL.severity];
  if (name === "drop") for (const row of data.rows) row.drop = dropOf(row, chosen);
  const orders = {
    "": worst,
    id: (a, b) => a[COL.id] < b[COL.id] ? -1 : a[COL.id] > b[COL.id] ? 1 : a[COL.repeat] - b[COL.repeat],
    score: (a, b) => { const x = score(a), y = score(b); return x === y ? worst(a, b) : x - y; },
    drop: (a, b) => a.drop === b.drop ? worst(a, b) : b.drop - a.drop,
    latency: (a, b) => (b[COL.latency] ?? -1) - (a[COL.latency] ?? -1),
  };
  return orders[name] || worst;
}

function applyFilters(parameters) {
  const wanted = Object.fromEntries([...FILTERS, ...OPINION].map((name) => [name, parameters.get(name) || ""]));
  for (const name of FILTERS) setBox($(`f-${name}`), shownValue(name, wanted[name]));
  const key = JSON.stringify(wanted);
  if (key === table.key) return;
  const keeps = matcher(wanted), order = sorted(wanted.sort, wanted.scorer);
  const found = order.filter((place) => keeps(data.rows[place]));
  Object.assign(table, {found, key, focus: 0, page: 0, scorer: wanted.scorer,
    opinion: Object.fromEntries(OPINION.map((name) => [name, wanted[name]]))});
  const {length} = data.rows;
  $("status").textContent = `${found.length === length ? count(length) : `${count(found.length)} of ${count(length)}`} cases${$("shown") ? " on this page" : ""}${saidOf(wanted)}`;
  $("grid").setAttribute("aria-rowcount", found.length + 1);
  $("grid-scroll").scrollTop = 0;
}

// All rows in one order; kept, so that a search need not sort again.
function sorted(name, scorer) {
  const key = `${name} ${scorer}`;
  if (table.orderKey === key) return table.order;
  const before = sorter(name, scorer), {rows} = data;
  const order = rows.map((row, place) => place).sort((a, b) => before(rows[a], rows[b]) || a - b);
  Object.assign(table, {order, orderKey: key});
  return order;
}

function shownValue(name, value) {
  if (name === "change" && value) return data.legend.slugs[data.legend.changes.indexOf(value)] || value;
  if (name === "cohort" && value && !value.includes("=")) {
    const [place, code] = cohortPlace(value);
    return code < 0 ? value : `${data.legend.cohorts[place][0]}=${value}`;
  }
  return value;
}

// A value that the box does not list is added, so that the box says what is filtered.
function setBox(box, value) {
  if (value && box.options && ![...box.options].some((each) => each.value === value)) box.append(option(value, value));
  box.value = value;
}

function saidOf(wanted) {
  if (!OPINION.some((name) => wanted[name])) return "";
  const by = wanted.by ? ` by a ${wanted.by}` : "";
  return ` labelled${by}${wanted.human ? ` as ${visible(wanted.human)}` : ""}${wanted.judge ? `, judged ${visible(wanted.judge)}` : ""}`;
}

function filtersChanged() {
  const parameters = new URLSearchParams();
  for (const name of FILTERS) if ($(`f-${name}`).value) parameters.set(name, $(`f-${name}`).value);
  for (const name of OPINION) if (table.opinion[name]) parameters.set(name, table.opinion[name]);
  const query = parameters.toString();
  table.lastQuery = query ? `?${query}` : "";
  applyFilters(parameters);
  drawTable(true);
  go(`#/cases${table.lastQuery}`, true);
}
