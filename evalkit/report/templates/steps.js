// What the system did on the way to its answer, and the messages of a chat.
const SHORT_CHARS = 300;

function didSection(body) {
  const did = body && body.output && body.output.did;
  if (!did) return null;
  const folded = (title, ...parts) => make("details", {class: "did"}, make("summary", {text: title}), ...parts);
  return section("What the system did",
    did.stop === undefined ? null : make("p", {dir: "auto"}, "Stopped: ", make("b", {text: visible(did.stop)})),
    did.fault === undefined ? null : make("p", {dir: "auto"}, "No answer: ", make("b", {text: visible(did.fault)})),
    did.interrupt === undefined ? null : named("Waits for a person", did.interrupt),
    stepList(did.steps, "steps"), stepList(did.calls, "calls"),
    did.messages ? folded(`Messages (${count(did.messages.length)})`, ...did.messages.map(chatTurn)) : null,
    did.state === undefined ? null : folded("State after the answer", make("pre", {dir: "auto", text: visible(did.state)})));
}

function stepList(given, what) {
  if (!given) return null;
  const {list, n} = given;
  return make("div", {},
    make("ol", {class: "steps", "aria-label": what === "steps" ? "Steps" : "Tool calls"}, ...list.map((step) => make("li", {}, ...stepParts(step)))),
    n ? make("p", {class: "note", text: `The row holds ${count(n)} ${what}; the first ${count(list.length)} are shown.`}) : null);
}

function stepParts(step) {
  const used = step.usage || {};
  const facts = [step.turn ? `turn ${step.turn}` : "", spanOf(step), step.decision || "", step.call_id || step.id || "",
    used.input_tokens === undefined && used.output_tokens === undefined ? "" : `${count(used.input_tokens)} + ${count(used.output_tokens)} tokens`,
    used.cost_usd === undefined ? "" : dollars(used.cost_usd)].filter(Boolean);
  return [
    make("p", {class: "step", dir: "auto"}, make("small", {text: step.kind || "tool"}), step.name ? make("b", {text: visible(step.name)}) : null,
      step.error === undefined ? null : make("span", {class: "mark failed", text: "✗ error"}),
      facts.length ? make("span", {class: "note", text: visible(facts.join(" · "))}) : null),
    named("arguments", step.arguments), named("result", step.result), named("error", step.error), named("details", step.details),
  ].filter(Boolean);
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

function chatTurn([role, content, more = {}]) {
  return make("div", {class: "turn"},
    make("b", {text: visible([role, more.name, more.call_id].filter(Boolean).join(" · "))}),
    content ? modelText(content) : null,
    ...(more.parts || []).map(([type, text]) => named(visible(type), text)),
    ...(more.calls || []).flatMap(stepParts), named("details", more.details));
}
