// Answers side by side: pages of cases, a column for each chosen system. The filters are in the address: `#/answers?...`.
const PAGE_CASES = 25, FIRST_COLUMNS = 4, KEPT_CHUNKS = 8;
const VERDICTS = {p: "passed", f: "failed", s: "scored", u: "unscored", e: "system_error", k: "skipped"};
const ROUTE = "#/answers";
const grid = {rows: [], legend: null, columns: [], found: [], page: 0, turn: 0, chunks: new Map()};

const systems = () => grid.legend.systems;
const divided = (marks) => marks.includes("p") && marks.includes("f");
const failsAlone = (marks, place) => marks[place] === "f" && marks.includes("p") && marks.indexOf("f") === marks.lastIndexOf("f");

async function bodyAt(place) {
  const {chunk} = grid.legend, name = `rows-${Math.floor(place / chunk)}`;
  let bodies = grid.chunks.get(name);
  grid.chunks.delete(name);
  bodies = bodies || JSON.parse(await unpack(name));
  grid.chunks.set(name, bodies);
  if (grid.chunks.size > KEPT_CHUNKS) grid.chunks.delete(grid.chunks.keys().next().value);
  return bodies[place % chunk];
}

function holds(body, text) {
  const parts = [body.question || "", ...(body.reference || [])];
  for (const cell of body.cells) if (cell) parts.push(cell.text || "", cell.why || "");
  return parts.some((part) => part.toLowerCase().includes(text));
}

// The places of the cases that fit; null if the filters changed while answers were searched.
async function foundWith(wanted, turn) {
  const text = wanted.q.trim().toLowerCase();
  const found = [];
  for (let place = 0; place < grid.rows.length; place += 1) {
    const [id, question, marks] = grid.rows[place];
    if (wanted.divided && !divided(marks)) continue;
    if (wanted.only && !failsAlone(marks, wanted.only - 1)) continue;
    if (!text || `${id}\n${question}`.toLowerCase().includes(text)) found.push(place);
    else {
      if (place % grid.legend.chunk === 0 && turn !== grid.turn) return null;
      if (holds(await bodyAt(place), text)) found.push(place);
    }
  }
  return turn === grid.turn ? found : null;
}

// The number of a system, counted from 1; null if there is none with it.
const placeOf = (text) => systems()[Number(text) - 1] ? Number(text) : null;

function wantedOf(parameters) {
  return {q: parameters.get("q") || "", only: placeOf(parameters.get("only")) || "", divided: parameters.get("divided") === "1",
    whole: parameters.get("whole") === "1", page: Math.max(1, Number(parameters.get("page")) || 1),
    columns: (parameters.get("columns") || "").split(".").map(placeOf).filter(Boolean)};
}

function addressOf(wanted) {
  const parameters = new URLSearchParams();
  for (const name of ["q", "only"]) if (wanted[name]) parameters.set(name, wanted[name]);
  for (const name of ["divided", "whole"]) if (wanted[name]) parameters.set(name, "1");
  if (wanted.columns.length) parameters.set("columns", wanted.columns.join("."));
  if (wanted.page > 1) parameters.set("page", wanted.page);
  const query = parameters.toString();
  return query ? `${ROUTE}?${query}` : ROUTE;
}

// Columns as numbers of systems, counted from 1: the chosen ones, or the first few; the system that fails alone is among them.
function columnsOf(wanted) {
  const chosen = wanted.columns.length ? wanted.columns : grid.legend.first.slice(0, FIRST_COLUMNS).map((place) => place + 1);
  return [...new Set(wanted.only ? [...chosen, wanted.only] : chosen)].sort((a, b) => a - b).map((number) => number - 1);
}

async function apply(wanted) {
  grid.turn += 1;
  const {turn} = grid;
  $("f-q").value = wanted.q;
  $("f-only").value = wanted.only;
  $("f-divided").checked = wanted.divided;
  $("f-whole").checked = wanted.whole;
  if (wanted.q.trim()) $("status").textContent = "searching …";
  const found = await foundWith(wanted, turn);
  if (found === null) return;
  grid.columns = columnsOf(wanted);
  grid.found = found;
  grid.page = Math.min(wanted.page, Math.max(1, Math.ceil(found.length / PAGE_CASES))) - 1;
  for (const box of $("columns-boxes").querySelectorAll("input")) box.checked = grid.columns.includes(Number(box.value) - 1);
  $("columns-shown").textContent = `${grid.columns.length} of ${systems().length}`;
  $("pages").classList.toggle("folded", !wanted.whole);
  const {length} = grid.rows;
  $("status").textContent = found.length === length ? `${count(length)} cases` : `${count(found.length)} of ${count(length)} cases`;
  await drawPage(turn);
}

async function drawPage(turn) {
  const places = grid.found.slice(grid.page * PAGE_CASES, (grid.page + 1) * PAGE_CASES), bodies = [];
  for (const place of places) bodies.push(await bodyAt(place));
  if (turn !== grid.turn) return;
  const heads = [["Case"], ...(grid.legend.expected ? [["Expected"]] : []), ...grid.columns.map((place) => [`${place + 1} ${systems()[place].name}`, systems()[place].figure])];
  const from = grid.page * PAGE_CASES;
  const said = places.length ? `Cases ${count(from + 1)} to ${count(from + places.length)} of ${count(grid.found.length)}` : "No case matches.";
  const table = make("table", {class: "stack grid-table", on: {keydown: moveByKey, click: openByClick}},
    make("caption", {tabindex: -1, text: said}),
    make("thead", {}, make("tr", {}, ...heads.map(([name, figure]) =>
      make("th", {scope: "col"}, make("span", {dir: "auto", text: visible(name)}), figure ? make("small", {text: figure}) : null)))),
    make("tbody", {}, ...places.map((place, at) => caseRow(grid.rows[place], bodies[at]))));
  $("pages").replaceChildren(turning(), make("div", {class: "grid-box", role: "group", "aria-label": "Answers", tabindex: 0}, table), turning());
}

function turning() {
  const pages = Math.max(1, Math.ceil(grid.found.length / PAGE_CASES));
  const turn = (by, text) => make("button", {type: "button", disabled: grid.page + by < 0 || grid.page + by >= pages, text,
    on: {click: async () => { await changed({page: grid.page + 1 + by}); $("pages").querySelector("caption").focus(); }}});
  return make("p", {class: "moves"}, turn(-1, "Previous page"), turn(1, "Next page"),
    make("span", {text: `page ${count(grid.page + 1)} of ${count(pages)}`}));
}

function caseRow([id, snippet, marks], body) {
  const expected = (body.reference || []).map((text) => modelText(text));
  return make("tr", {},
    make("th", {scope: "row"}, make("b", {dir: "auto", text: visible(id)}), modelText(body.question || snippet)),
    grid.legend.expected ? make("td", {class: "expected", "data-label": "Expected"}, ...(expected.length ? expected : [make("span", {class: "quiet", text: "none"})])) : null,
    ...grid.columns.map((place) => answerCell(id, marks[place], body.cells[place], place)));
}

function answerCell(id, mark, cell, place) {
  const {name, report} = systems()[place], label = visible(name);
  if (!cell) return make("td", {class: "given", "data-label": label}, make("span", {class: "quiet", text: "no row"}));
  const repeat = cell.repeat ? `?repeat=${cell.repeat}` : "";
  const link = report ? make("a", {href: `${report}#/case/${encodeURIComponent(whole(id))}${repeat}`}, "open",
    make("span", {class: "sr", text: visible(` ${id} in ${name}`)})) : null;
  const known = [cell.score, cell.runs, cell.latency === undefined ? "latency unknown" : seconds(cell.latency) + (grid.legend.interleaved ? "" : " (not comparable)"),
    cell.cost === undefined ? "cost unknown" : dollars(cell.cost)].filter(Boolean);
  const lead = make("p", {class: "lead"}, verdictMark(VERDICTS[mark]), link, make("span", {class: "quiet", text: known.join(" · ")}));
  const more = cell.more ? make("p", {class: "quiet", text: `… ${count(cell.more)} more characters`}) : null;
  return make("td", {class: `given ${VERDICTS[mark]}${link ? " opens" : ""}`, "data-label": label}, lead,
    cell.why ? make("p", {class: "why", dir: "auto", text: visible(cell.why)}) : null,
    cell.text === undefined ? null : cell.text === "" ? make("p", {class: "quiet", text: "(empty answer)"}) : modelText(cell.text), more);
}

// A click anywhere in a cell opens its case, unless text is being selected.
function openByClick(event) {
  const cell = event.target.closest("td.opens");
  if (cell && !event.target.closest("a") && !String(getSelection())) cell.querySelector("a").click();
}

function moveByKey(event) {
  const cell = event.target.closest("td"), [down, right] = {ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1]}[event.key] || [];
  if (!cell || event.target.localName !== "a" || down === undefined) return;
  const row = down > 0 ? cell.parentElement.nextElementSibling : down < 0 ? cell.parentElement.previousElementSibling : cell.parentElement;
  const link = row && row.children[cell.cellIndex + right] && row.children[cell.cellIndex + right].querySelector("a");
  if (!link) return;
  event.preventDefault();
  link.focus();
}

const wantedHere = () => wantedOf(new URLSearchParams(here().startsWith(ROUTE) ? splitOnce(here(), "?")[1] : ""));

function changed(change) {
  const wanted = {...wantedHere(), page: 1, ...change};
  go(addressOf(wanted), true);
  return apply(wanted).catch(complain);
}

function fillForm() {
  const option = (value, text) => make("option", {value, text: visible(text)});
  $("f-only").append(option("", "any"), ...systems().map(({name}, place) => option(place + 1, `${place + 1} ${name}`)));
  $("columns-boxes").append(...systems().map(({name}, place) => make("label", {class: "choice"},
    make("input", {type: "checkbox", value: place + 1}), make("span", {dir: "auto", text: visible(`${place + 1} ${name}`)}))));
  let waiting = 0;
  $("f-q").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => changed({q: $("f-q").value}), 200); });
  $("f-only").addEventListener("change", () => changed({only: placeOf($("f-only").value) || ""}));
  $("f-divided").addEventListener("change", () => changed({divided: $("f-divided").checked}));
  $("f-whole").addEventListener("change", () => changed({whole: $("f-whole").checked, page: grid.page + 1}));
  $("columns-boxes").addEventListener("change", () => changed({page: grid.page + 1,
    columns: [...$("columns-boxes").querySelectorAll("input:checked")].map((box) => Number(box.value))}));
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  $("filters").addEventListener("reset", () => setTimeout(() => changed({q: "", only: "", divided: false, whole: false, columns: []})));
}

function complain(error) {
  $("problem").hidden = false;
  $("problem").textContent = `The answers could not be opened: ${error.message}`;
}

async function start() {
  setUpTheme();
  const index = JSON.parse(await unpack("index"));
  Object.assign(grid, {rows: index.rows, legend: index.legend});
  fillForm();
  addEventListener("hashchange", () => { if (here().startsWith(ROUTE)) apply(wantedHere()).catch(complain); });
  await apply(wantedHere());
  if (here().startsWith(ROUTE)) $("answers").scrollIntoView();
  document.documentElement.dataset.ready = "true";
}
start().catch(complain);
