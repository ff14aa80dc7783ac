"use strict";
(() => {
const $ = (id) => document.getElementById(id);
const root = document.documentElement;
root.classList.add("js");
root.classList.remove("old");

$("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("evalkit-theme", root.dataset.theme);
  } catch (error) {
    // Without storage the choice lasts as long as the page.
  }
});
root.dataset.ready = "1";
if (!$("runs")) return;

const runs = JSON.parse($("data").textContent);
const rows = [...$("runs").rows].map((row) => ({row, text: row.textContent.toLowerCase(), suite: row.dataset.suite}));

function filter() {
  const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean), suite = $("suite").value;
  let shown = 0;
  for (const each of rows) {
    const fits = (!suite || each.suite === suite) && words.every((word) => each.text.includes(word));
    each.row.hidden = !fits;
    shown += fits;
  }
  $("count").textContent = shown === rows.length ? "" : `${shown} of ${rows.length} shown`;
}

function cell(kind, text, notes, name) {
  const made = document.createElement(kind);
  if (kind === "th") made.scope = "row";
  made.dir = "auto";
  if (name) made.className = name;
  made.append(text);
  const small = document.createElement("small");
  for (const note of notes.filter(Boolean)) {
    const held = document.createElement("span");
    held.append(note);
    small.append(held, " ");
  }
  if (small.firstChild) made.append(small);
  return made;
}

// Why the figures of a metric cannot be compared; empty if they can. It is the rule that cuts a trend.
function unlike(before, after, metric) {
  if (before.golden !== after.golden) return "another golden set";
  const scorer = metric.replace(/\.passed$/, "");
  const names = scorer in after.keys ? [scorer] : [...new Set([...before.counted, ...after.counted])].sort();
  const changed = names.filter((name) => before.keys[name] !== after.keys[name]);
  return changed.length ? `another scorer: ${changed.join(", ")}` : "";
}

function line(name, before, after, why) {
  const row = document.createElement("tr");
  const side = (found) => found ? cell("td", found[1], [found[2], `n ${found[3].toLocaleString("en")}`], "num") : cell("td", "–", [], "num");
  row.append(cell("th", name, [before && after && why && `not comparable: ${why}`]), side(before), side(after));
  return row;
}

function lines(before, after, part, metric) {
  const sides = [before, after].map((run) => new Map(run[part].map((found) => [found[0], found])));
  const names = new Set([...sides[0].keys(), ...sides[1].keys()]);
  return [...names].map((name) => line(name, sides[0].get(name), sides[1].get(name), unlike(before, after, metric || name)));
}

function show(before, after) {
  $("before").textContent = before.word;
  $("after").textContent = after.word;
  $("command").textContent = `evalkit diff ${before.word} ${after.word}`;
  const why = unlike(before, after, "pass_rate");
  $("unlike").hidden = !why;
  $("unlike").textContent = why && `The pass rates are not comparable: ${why}.`;
  const title = document.createElement("tr"), cohorts = lines(before, after, "cohorts", "pass_rate");
  const heading = cell("th", "pass_rate by cohort", []);
  heading.colSpan = 3;
  heading.scope = "rowgroup";
  title.className = "group";
  title.append(heading);
  $("figures").replaceChildren(...lines(before, after, "metrics"), ...(cohorts.length ? [title, ...cohorts] : []));
}

let chosen = [];
function choose(box) {
  chosen = chosen.filter((each) => each !== box);
  if (box.checked) chosen.push(box);
  if (chosen.length > 2) chosen.shift().checked = false;
  const two = chosen.map((each) => runs[each.dataset.run]);
  const alike = two.length === 2 && two[0].suite === two[1].suite;
  $("sides").hidden = !alike;
  $("chosen").hidden = alike;
  $("chosen").textContent = two.length === 2 ? `These are runs of two suites, ${two[0].suite} and ${two[1].suite}: choose two of one suite.`
    : two.length ? "Choose a second run of this suite." : "Choose two runs of one suite in the list.";
  // In the list the newer run is above the older one.
  if (alike) show(...[...chosen].sort((a, b) => b.dataset.run - a.dataset.run).map((each) => runs[each.dataset.run]));
}

$("runs").addEventListener("change", (event) => choose(event.target));
$("filters").addEventListener("input", filter);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("command").textContent);
    $("copy").textContent = "Copied";
  } catch (error) {
    getSelection().selectAllChildren($("command"));
  }
});
// A browser that goes back restores the boxes.
for (const box of $("runs").querySelectorAll("input:checked")) choose(box);
filter();
})();
