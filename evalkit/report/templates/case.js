// The page of one case.
let shownCase = null;

routes.case = async (rest, parameters) => {
  if (!table.key) applyFilters(new URLSearchParams());
  scrollTo(0, 0);
  await showCase(rest, parameters);
  const title = $("case-title");
  if (title) title.focus({preventScroll: true});
};

function placeOf(id, repeat) {
  return data.rows.findIndex((row) => whole(row[COL.id]) === id && row[COL.repeat] === repeat);
}

async function showCase(id, parameters) {
  const place = placeOf(id, Number(parameters.get("repeat") || 0));
  const box = $("case");
  shownCase = place < 0 ? null : place;
  if (place < 0) {
    box.replaceChildren(make("h1", {id: "case-title", tabindex: -1, text: `No case ${visible(id)}`}),
      ...($("shown") ? [make("p", {text: $("shown").textContent})] : []), make("p", {}, make("a", {href: "#/cases", text: "All cases"})));
    return;
  }
  const found = await bodiesOf(place);
  if (shownCase !== place) return;
  const row = data.rows[place], {the, now} = found, before = parameters.get("base") === "0" ? null : found.before;
  const covered = coveredBy(the, now, before), conversation = conversationSection(the, now, before);
  const parts = [caseHead(row, found.before, before), covered.input ? null : section("Input", ...inputParts(the.input)),
    covered.answer || (data.legend.grades_only && answered(now, before)) ? null : answers(now, before), scoreTable(row, now, before), conversation || didSection(now || found.before), listSection("Reference", the.reference),
    covered.contexts ? listSection("Contexts of the case", the.contexts, true, the.origins) : contextSection(the, now, before),
    opinionsOf(row), timings(now, before), extras(the, conversation)];
  box.replaceChildren(...parts.filter(Boolean));
  document.title = `${visible(row[COL.id])} – evalkit`;
}

function section(title, ...children) {
  return make("section", {}, make("h2", {text: title}), ...children);
}

function caseHead(row, hasBefore, before) {
  const kind = data.legend.of_files ? [] : [data.legend.severities[row[COL.severity]], data.legend.kinds[row[COL.kind]]];
  const facts = [...kind, changeOf(row),
    row[COL.repeat] ? `repeat ${row[COL.repeat]}` : "", ...cohortsOf(row), ...flagsOf(row)].filter(Boolean);
  const at = table.found.indexOf(shownCase);
  const toggle = hasBefore && make("button", {type: "button", "aria-pressed": String(Boolean(before)), text: "Baseline beside it",
    on: {click: () => { go(withBase(row, before ? "0" : "1")); }}});
  return make("header", {class: "case-head"},
    make("p", {class: "moves"},
      make("a", {href: `#/cases${table.lastQuery}`, text: "All cases"}),
      make("button", {type: "button", text: "Previous", on: {click: () => step(-1)}}),
      make("button", {type: "button", text: "Next", on: {click: () => step(1)}}),
      make("button", {type: "button", text: "Next failure", on: {click: () => step(1, true)}}),
      toggle,
      make("button", {type: "button", id: "copy", text: "Copy link", on: {click: copyLink}}),
      at < 0 ? null : make("span", {class: "note", text: `${count(at + 1)} of ${count(table.found.length)}`})),
    make("h1", {id: "case-title", dir: "auto", tabindex: -1}, verdictMark(verdictOf(row)), ` ${visible(row[COL.id])}`),
    make("ul", {class: "facts"}, ...facts.map((fact) => make("li", {dir: "auto", text: visible(fact)}))));
}

function withBase(row, base) {
  const link = caseLink(row);
  return `${link}${link.includes("?") ? "&" : "?"}base=${base}`;
}

function inputParts(input) {
  if (typeof input === "string") return [modelText(input)];
  return input.map((message) => chatTurn(message));
}

// Whether what is shown of a case is not that a run had no output.
function answered(now, before) {
  return [now, before].every((body) => !body || body.output);
}

function answers(now, before) {
  const left = before && before.output ? before.output.text : null, right = now && now.output ? now.output.text : null;
  const diff = left !== null && right !== null ? wordDiff(left, right) : null;
  const boxes = [];
  if (before) boxes.push(answerBox("Baseline answer", before, diff && marked(diff.left, "del")));
  boxes.push(answerBox("Answer now", now, diff && marked(diff.right, "ins")));
  const note = left === null || right === null ? null
    : diff === null ? "The answers are too long to mark the difference here."
      : left === right ? "The answers are the same." : "Struck out: only in the baseline's answer. Underlined: only in the answer now.";
  return section("Answer", make("div", {class: boxes.length > 1 ? "sides" : "side"}, ...boxes),
    note && make("p", {class: "note", text: note}));
}

function answerBox(title, body, text) {
  const box = make("div", {class: "answer"}, make("h3", {text: title}));
  if (!body) box.append(make("p", {class: "note", text: "The case was removed: there is no answer now."}));
  else if (body.failure) box.append(make("p", {}, make("span", {class: "mark system_error", text: `✗ ${visible(body.failure[0])}`})), modelText(body.failure[1]));
  else if (body.skipped) box.append(make("p", {class: "note", text: `Skipped: ${visible(body.skipped)}`}));
  else if (!body.output) box.append(make("p", {class: "note", text: "There is no answer."}));
  else if (body.output.text === "") box.append(make("p", {class: "note", text: "The answer is empty."}));
  else box.append(text || modelText(body.output.text));
  return box;
}

function scoreTable(row, now, before) {
  const earlier = new Map((before ? before.scores : []).map((grade) => [grade.metric, grade]));
  const grades = now ? now.scores : before ? before.scores : [];
  if (!grades.length) return null;
  const urgent = (grade) => grade.passed === false ? 0 : grade.unscored !== undefined ? 1 : 2;
  const ordered = [...grades].sort((a, b) => urgent(a) - urgent(b));
  const head = ["Scorer", "Mark", "Baseline", "Score", "Needs", "Reason"];
  const body = make("tbody", {}, ...ordered.map((grade) => scoreRow(grade, now ? earlier.get(grade.metric) : null)));
  return section("Scores", make("div", {class: "wide", role: "group", "aria-label": "Scores", tabindex: 0}, make("table", {class: "stack scores"},
    make("thead", {}, make("tr", {}, ...head.map((name, place) => make("th", {scope: "col", class: place > 1 && place < 5 ? "num" : null, text: name})))), body)));
}

const metricOf = (name) => data.legend.metrics.find((entry) => entry.name === name) || {};

function scoreRow(grade, earlier) {
  const metric = metricOf(grade.metric);
  const verdict = grade.unscored !== undefined ? "unscored" : grade.passed === undefined ? "scored" : grade.passed ? "passed" : "failed";
  const needs = metric.pass_at === null || metric.pass_at === undefined ? "–" : `${metric.higher ? "≥" : "≤"} ${number(metric.pass_at)}`;
  const otherwise = failedOtherwise(metric, grade.value, grade.passed === false);
  const reason = make("td", {"data-label": "Reason"}, grade.unscored ? make("b", {text: visible(`${grade.unscored} `)}) : null,
    grade.reason ? modelText(grade.reason) : null, spentOn(grade.usage), rawReply(grade.details));
  const changed = earlier && earlier.value !== undefined && grade.value !== undefined && earlier.value !== grade.value;
  return make("tr", {},
    make("th", {scope: "row", dir: "auto", text: visible(grade.metric)}, noteOf(metric)),
    make("td", {"data-label": "Mark"}, verdictMark(verdict)),
    make("td", {"data-label": "Baseline", class: "num", text: earlier && earlier.value !== undefined ? number(earlier.value) : "–"}),
    make("td", {"data-label": "Score", class: "num"}, grade.unscored !== undefined ? "unscored" : number(grade.value),
      changed ? make("small", {text: signed(grade.value - earlier.value)}) : null),
    make("td", {"data-label": "Needs", class: "num"}, needs, otherwise ? make("small", {text: "see the reason"}) : null),
    reason);
}

function spentOn(usage) {
  if (!usage) return null;
  const words = [usage.cached ? "kept reply" : "", usage.model ? visible(usage.model) : "",
    usage.input_tokens === undefined ? "" : `${count(usage.input_tokens)} + ${count(usage.output_tokens)} tokens`,
    usage.cost_usd === undefined ? "" : dollars(usage.cost_usd)].filter(Boolean);
  return words.length ? make("small", {text: words.join(" · ")}) : null;
}

function rawReply(details) {
  if (!details || !Object.keys(details).length) return null;
  return make("details", {}, make("summary", {text: "raw" in details || "reply" in details ? "Raw reply and details" : "Details"}),
    ...Object.entries(details).map(([name, value]) => make("div", {class: "raw"}, make("b", {text: visible(name)}),
      make("pre", {dir: "auto", text: visible(pretty(value))}))));
}

// Says of a metric that a judge gave it, and that it decides nothing.
function noteOf(metric) {
  const words = [metric.judge ? `judge ${visible(metric.judge)}` : "", metric.advisory ? "advisory" : ""].filter(Boolean);
  return words.length ? make("small", {text: words.join(", ")}) : null;
}

// The contexts of the baseline and of now side by side where both systems state theirs; those of one run only are marked.
function contextSection(the, now, before) {
  const left = before && before.output ? before.output.contexts : undefined, right = now && now.output ? now.output.contexts : undefined;
  if (left === undefined || right === undefined)
    return listSection(right === undefined ? "Contexts" : "Contexts that the system used", contextsOf(the), true, originsOf(the));
  const lost = left.filter((text) => !right.includes(text)), gained = right.filter((text) => !left.includes(text));
  const note = lost.length || gained.length ? `${lost.length} only in the baseline, ${gained.length} only now.`
    : left.length === right.length && left.every((text, place) => text === right[place]) ? "The contexts are the same." : "The same contexts in another order.";
  return section("Contexts that the systems used",
    make("div", {class: "sides"}, contextBox("Contexts of the baseline", left, lost, "del", before.output.origins),
      contextBox("Contexts now", right, gained, "ins", now.output.origins)),
    make("p", {class: "note", text: note}));
}

function contextBox(title, texts, alone, mark, origins) {
  const item = (text, place) => make("li", {}, originLine(origins, place), alone.includes(text) ? make(mark, {}, modelText(text)) : modelText(text));
  return make("div", {class: "answer"}, make("h3", {text: title}),
    texts.length ? make("ol", {class: "texts"}, ...texts.map(item)) : make("p", {class: "note", text: "None."}));
}

function contextsOf(body) {
  return body.output && body.output.contexts !== undefined ? body.output.contexts : body.contexts;
}

function originsOf(body) {
  return body.output && body.output.contexts !== undefined ? body.output.origins : body.origins;
}

// The id, score and source of a context, above its text.
function originLine(origins, place) {
  return origins && origins[place] ? make("small", {class: "origin", dir: "auto", text: visible(origins[place])}) : null;
}

function opinionsOf(row) {
  const opinions = row[COL.opinions] || [];
  if (!opinions.length) return null;
  return section("Labels", make("ul", {}, ...opinions.map(([metric, by, human, judge]) =>
    make("li", {dir: "auto", text: visible(`${metric}: ${human} by a ${by}, ${judge || "no verdict"} by the judge`)}))));
}

function listSection(title, texts, folded, origins) {
  if (!texts || !texts.length) return null;
  const list = make("ol", {class: "texts"}, ...texts.map((text, place) => make("li", {}, originLine(origins, place), modelText(text))));
  if (!folded) return section(title, list);
  return section(title, make("details", {open: texts.length < 3}, make("summary", {text: `${texts.length} in order`}), list));
}

function timings(now, before) {
  const answered = [["Baseline", before], ["Now", now]].filter(([, body]) => body && body.output);
  const measured = answered.some(([, body]) => body.output.latency_s !== undefined || body.output.usage);
  if (!answered.length || (data.legend.grades_only && !measured)) return null;
  const lines = [
    ["latency", (output) => seconds(output.latency_s) + (output.replayed ? " (stored answer)" : "")],
    ["first token", (output) => seconds(output.ttft_s)],
    ["attempts", (output) => count(output.attempts || 1)],
    ["input tokens", (output) => count(output.usage && output.usage.input_tokens)],
    ["output tokens", (output) => count(output.usage && output.usage.output_tokens)],
    ["cost", (output) => dollars(output.usage && output.usage.cost_usd)],
    ["simulated user", (output) => output.user_usage ? spentFacts(output.user_usage).filter(Boolean).join(" · ") || "unknown" : "unknown"],
    ["model", (output) => visible((output.usage && output.usage.model) || "unknown")],
  ].filter(([name, write]) => name === "latency" || answered.some(([, body]) => write(body.output) !== "unknown"));
  return section("Time and cost", make("table", {class: "small"},
    make("thead", {}, make("tr", {}, make("td"), ...answered.map(([name]) => make("th", {scope: "col", text: name})))),
    make("tbody", {}, ...lines.map(([name, write]) => make("tr", {}, make("th", {scope: "row", text: name}),
      ...answered.map(([, body]) => make("td", {text: write(body.output)})))))));
}

function extras(body, conversation) {
  const shown = {...body.fields};
  if (conversation && scriptOf(body)) delete shown.turns;
  if (body.cluster) shown.cluster = body.cluster;
  if (body.place) shown.place = body.place;
  if (!Object.keys(shown).length) return null;
  return section("More fields", make("dl", {class: "provenance"}, ...Object.entries(shown).map(([name, value]) =>
    make("div", {}, make("dt", {text: visible(name)}), make("dd", {}, make("pre", {dir: "auto", text: visible(pretty(value))}))))));
}

// Moves along the filtered table; a case outside of it starts at the table's begin.
function step(by, failuresOnly = false) {
  const {found} = table;
  let at = found.indexOf(shownCase);
  for (at += by; at >= 0 && at < found.length; at += by) {
    if (!failuresOnly || isFailure(data.rows[found[at]])) {
      table.focus = at;
      go(caseLink(data.rows[found[at]]));
      return;
    }
  }
}

async function copyLink() {
  const button = $("copy");
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch (error) {
    button.textContent = "Copy the address bar";
  }
}
