// What every view shares. Elements are only ever made with createElement and textContent: text from data stays text.
const $ = (id) => document.getElementById(id);
const WORDS = {failed: "✗ failed", system_error: "✗ error", unscored: "? unscored", skipped: "– skipped",
  flaky: "~ failed this run", scored: "· scored", passed: "✓ passed", removed: "– removed"};
// Why a conversation ended, where evalkit led it.
const STOPS = new Map([["script_end", "every scripted turn was answered"], ["user_done", "the user was done"], ["rule", "a stop rule held"],
  ["agent_done", "the system ended it"], ["interrupt", "nobody answered a question to a person"], ["max_turns", "the limit of turns was reached"],
  ["max_steps", "the limit of steps in a turn was reached"], ["fault", "the model gave no answer"]]);
const WHYS = new Map([["reached", "the user has what it wanted"], ["refused", "the user was refused"], ["gave_up", "the user gave up"]]);

function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const modelText = (text, tag = "p") => make(tag, {class: "text", dir: "auto", text: visible(text)});
const verdictMark = (verdict) => make("span", {class: `mark ${verdict}`, text: WORDS[verdict]});
const number = (value) => value === null || value === undefined ? "–"
  : Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(3)));
const seconds = (value) => value === null || value === undefined ? "unknown"
  : value < 1 ? `${Math.round(value * 1000)} ms` : `${value.toFixed(2)} s`;
const dollars = (value) => value === null || value === undefined ? "unknown" : `$${value.toFixed(value < 1 ? 4 : 2)}`;
const count = (value) => value === null || value === undefined ? "unknown" : value.toLocaleString("en");
const signed = (value) => `${value > 0 ? "+" : value < 0 ? "\u2212" : "\u00b1"}${number(Math.abs(value))}`;
// An address holds no half character.
const whole = (text) => text.replace(HALF, "\ufffd");
const caseLink = (row) => `#/case/${encodeURIComponent(whole(row[COL.id]))}${row[COL.repeat] ? `?repeat=${row[COL.repeat]}` : ""}`;

function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2);
  try {
    const parsed = JSON.parse(value);
    return typeof parsed === "object" && parsed !== null ? JSON.stringify(parsed, null, 2) : value;
  } catch (error) {
    return value;
  }
}

function splitOnce(text, mark) {
  const place = text.indexOf(mark);
  return place < 0 ? [text, ""] : [text.slice(0, place), text.slice(place + 1)];
}

function remembered(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch (error) {
    // A sandboxed frame has no storage: the choice lasts as long as the page.
  }
  return null;
}

function setUpTheme() {
  const root = document.documentElement;
  $("theme").addEventListener("click", () => {
    const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "light" : "dark";
    remembered("evalkit-theme", root.dataset.theme);
  });
}

// Offers a text as a file; where a frame may not download, the text can still be copied from its box.
function download(name, text) {
  const link = make("a", {href: URL.createObjectURL(new Blob([text], {type: "text/plain;charset=utf-8"})), download: name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// Where the reader is. The address says so, but for a sandboxed frame, which may not change it: it remembers it here.
const addressed = window.parent === window || origin !== "null";
let unaddressed = location.hash;
const here = () => addressed ? location.hash : unaddressed;
function go(hash, quietly = false) {
  unaddressed = hash;
  if (!addressed) { if (!quietly) dispatchEvent(new Event("hashchange")); }
  else if (quietly) replaceAddress(hash);
  else location.hash = hash;
}

function replaceAddress(hash) {
  try {
    history.replaceState(null, "", hash);
  } catch (error) {
    location.hash = hash;
  }
}

// Views that a script draws: name in the address -> what to do with the rest of the path and the parameters.
const routes = {};
// What views do once the index is there.
const setUps = [];
