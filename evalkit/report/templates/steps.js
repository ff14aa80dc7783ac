// What the system did on the way to its answer, and the messages of a chat.
const SHORT_CHARS = 300;
const OPEN_STEPS = 30;

// What a row holds of its answer: of a conversation that failed, the part before the failure.
const heldIn = (body) => body && (body.output || body.partial);
const folded = (title, ...parts) => make("details", {class: "did"}, make("summary", {text: title}), ...parts);

function didSection(body) {
  const held = heldIn(body), did = held && held.did;
  if (!did) return null;
  return section("What the system did", stopLine("Stopped", did),
    did.steps ? stepList(did.steps, "Steps") : null, did.calls ? stepList(did.calls, "Tool calls") : null,
    did.messages ? folded(`Messages (${count(did.messages.length)})`, ...did.messages.map((message) => chatTurn(message))) : null,
    ...lastParts(did, "State after the answer"));
}

function stopLine(word, did) {
  if (did.stop === undefined) return null;
  const told = [STOPS.get(did.stop), did.user_why === undefined ? null : WHYS.get(did.user_why) || visible(did.user_why)].filter(Boolean);
  return make("p", {dir: "auto"}, `${word}: `, make("b", {text: visible(did.stop)}), told.length ? ` (${told.join("; ")})` : null);
}

function lastParts(did, title) {
  return [did.fault === undefined ? null : make("p", {dir: "auto"}, "No answer: ", make("b", {text: visible(did.fault)})),
    did.interrupt === undefined ? null : named("Waits for a person", did.interrupt),
    did.state === undefined ? null : folded(title, make("pre", {dir: "auto", text: visible(did.state)}))];
}

// Steps in their order; a number stands for so many that are left out. Of a long list the rest is folded, but for what scorers name and errors.
function stepList(entries, label, mixed = false) {
  const list = make("ol", {class: "steps", "aria-label": label});
  const item = (step, at) => make("li", {value: at}, ...stepParts(step, mixed));
  let quiet = [], at = 1;
  const flush = () => {
    if (quiet.length > 1) list.append(make("li", {class: "gap"}, make("details", {}, make("summary", {text: `${stepCount(quiet.length)} more`}), make("ol", {class: "steps"}, ...quiet))));
    else list.append(...quiet);
    quiet = [];
  };
  entries.forEach((entry, place) => {
    const isGap = typeof entry === "number", isQuiet = !isGap && place >= OPEN_STEPS && !entry.marks && entry.error === undefined;
    if (isQuiet) quiet.push(item(entry, at));
    else {
      flush();
      list.append(isGap ? make("li", {class: "gap"}, make("span", {class: "note", text: `${stepCount(entry)} more in the row`})) : item(entry, at));
    }
    at += isGap ? entry : 1;
  });
  flush();
  if (at > 100) list.classList.add("many");
  return list;
}

const stepCount = (n) => `${count(n)} ${n === 1 ? "step" : "steps"}`;

function markList(marks) {
  return make("ul", {class: "marks", "aria-label": "Marks"}, ...marks.map((mark) => make("li", {dir: "auto"},
    verdictMark(mark.unscored !== undefined ? "unscored" : mark.passed === undefined ? "scored" : mark.passed ? "passed" : "failed"),
    make("b", {text: visible(mark.metric)}), mark.value === undefined ? null : make("span", {text: number(mark.value)}),
    mark.unscored ? make("b", {text: visible(mark.unscored)}) : null, mark.reason ? make("span", {class: "text", text: visible(mark.reason)}) : null)));
}

function stepParts(step, mixed = false) {
  const recorder = step.recorded_by === "evalkit" ? RECORDERS.evalkit : mixed ? RECORDERS.system : "";
  const facts = [step.turn ? `turn ${step.turn}` : "", spanOf(step), step.call_id || step.id || "", ...spentFacts(step.usage), recorder].filter(Boolean);
  return [
    make("p", {class: "step", dir: "auto"}, make("small", {text: step.kind || "tool"}), step.name ? make("b", {text: visible(step.name)}) : null,
      step.error === undefined ? null : make("span", {class: "mark failed", text: "✗ error"}),
      step.decision ? make("span", {class: `mark ${step.decision}`, text: step.decision}) : null,
      facts.length ? make("span", {class: "note", text: visible(facts.join(" · "))}) : null),
    named("arguments", step.arguments), named("result", step.result), named("error", step.error), named("details", step.details),
    step.marks ? markList(step.marks) : null,
  ].filter(Boolean);
}

function spentFacts(usage) {
  const used = usage || {};
  return [used.input_tokens === undefined && used.output_tokens === undefined ? "" : `${count(used.input_tokens)} + ${count(used.output_tokens)} tokens`,
    used.cost_usd === undefined ? "" : dollars(used.cost_usd)];
}

function spanOf({started_s: from, ended_s: to}) {
  if (from === undefined && to === undefined) return "";
  if (from === undefined || to === undefined) return from === undefined ? `ended at ${seconds(to)}` : `began at ${seconds(from)}`;
  return `${seconds(to - from)}, began at ${seconds(from)}`;
}

// A value under its name; a long one is folded behind its beginning.
function named(name, text) {
  if (text === undefined || text === "") return null;
  const whole = visible(text), shown = make("pre", {dir: "auto", text: whole});
  if (whole.length <= SHORT_CHARS && whole.split("\n").length <= 8) return make("div", {class: "raw"}, make("b", {text: name}), shown);
  const begin = whole.slice(0, 80).replace(/\s+/g, " ");
  return make("details", {class: "raw"}, make("summary", {dir: "auto"}, make("b", {text: name}), ` ${begin} … ${count(whole.length)} characters`), shown);
}

// One message; `words` is its text where a difference is marked in it.
function chatTurn([role, content, more = {}], words = null) {
  const facts = [more.latency_s === undefined ? "" : seconds(more.latency_s), ...spentFacts(more.usage)].filter(Boolean);
  return make("div", {class: `turn ${["user", "assistant"].includes(role) ? role : ""}`},
    make("p", {class: "who"}, make("b", {text: visible([role, more.name, more.call_id].filter(Boolean).join(" · "))}),
      facts.length ? make("span", {class: "note", text: facts.join(" · ")}) : null),
    words || (content ? modelText(content) : role === "assistant" && !more.calls ? make("p", {class: "note", text: "The answer is empty."}) : null),
    ...(more.parts || []).map(([type, text]) => named(visible(type), text)),
    ...(more.calls || []).flatMap((call) => stepParts(call)),
    more.contexts && more.contexts.length ? folded(`Contexts (${count(more.contexts.length)})`, make("ol", {class: "texts"},
      ...more.contexts.map((text, place) => make("li", {}, originLine(more.origins, place), modelText(text))))) : null,
    named("details", more.details));
}
