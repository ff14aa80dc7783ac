// A conversation turn by turn: what was said, what was done, and what scorers say of it; the baseline's beside it where it differs.
const RECORDERS = {evalkit: "recorded by evalkit", system: "reported by the system"};
const conversationOf = (body) => { const held = heldIn(body); return held && held.conversation; };

function conversationSection(the, now, before) {
  const left = conversationOf(before), right = conversationOf(now);
  if (!left && !right) return null;
  const shown = right || left, n = Math.max(...[left, right].filter(Boolean).map((conversation) => conversation.turns.length));
  const turns = Array.from({length: n}, (_, at) => turnItem(the, at, left, right, now || before));
  return section(right ? "Conversation" : "Conversation of the baseline", conversationLead(shown, now || before),
    shown.history ? make("details", {class: "did"}, make("summary", {text: `Before the first turn (${count(shown.history.length)} messages)`}),
      ...shown.history.map((message) => chatTurn(message))) : null,
    make("ol", {class: "conversation"}, ...turns),
    shown.loose ? make("div", {}, make("h3", {text: "Steps of no known turn"}), stepList(shown.loose, "Steps of no known turn")) : null,
    ...endParts(now, before, left && right));
}

// How long the conversation was, who saw its steps, and where to look first.
function conversationLead(conversation, body) {
  const held = conversation.turns.filter((turn) => !turn.missed).length, wrong = conversation.turns.map((turn, at) => [verdictOfTurn(turn, at + 1 === held && body.failure), at + 1])
    .filter(([verdict]) => verdict === "failed" || verdict === "system_error");
  const facts = [`${count(held)} ${held === 1 ? "turn" : "turns"}`, conversation.by ? `every step ${RECORDERS[conversation.by]}` : ""].filter(Boolean);
  return make("p", {class: "conversation-lead"}, body.failure ? make("span", {class: "mark system_error", text: `✗ ${visible(body.failure[0])}`}) : null, make("span", {class: "note", text: facts.join(" · ")}),
    ...wrong.slice(0, 8).map(([, number]) => turnButton(number)),
    wrong.length > 8 ? make("span", {class: "note", text: `and ${count(wrong.length - 8)} more`}) : null);
}

function turnButton(number) {
  return make("button", {type: "button", text: `Go to turn ${number}`, on: {click: () => {
    const title = $(`turn-${number}`);
    title.scrollIntoView();
    title.focus({preventScroll: true});
  }}});
}

function verdictOfTurn(turn, failure) {
  if (failure) return "system_error";
  const marks = [...(turn.marks || []), ...turn.entries.flatMap((entry) => entry.marks || [])].filter((mark) => !metricOf(mark.metric).advisory);
  if (marks.some((mark) => mark.passed === false)) return "failed";
  if (marks.some((mark) => mark.unscored !== undefined)) return "unscored";
  return marks.some((mark) => mark.passed) ? "passed" : "";
}

function turnItem(the, at, left, right, body) {
  const was = left && left.turns[at], now = right && right.turns[at], same = Boolean(was && was.same), shown = now || was;
  const held = (right || left).turns.filter((turn) => !turn.missed).length;
  const failure = at + 1 === held && body.failure, verdict = shown.missed ? "" : verdictOfTurn(shown, failure);
  const beside = left && right && !same;
  const title = make("h3", {id: `turn-${at + 1}`, tabindex: -1}, `Turn ${at + 1}`, verdict ? verdictMark(verdict) : null,
    shown.missed && !beside ? make("span", {class: "note", text: "not reached"}) : null,
    same ? make("span", {class: "note", text: "the same in the baseline"}) : null);
  const words = beside ? answerDiff(was, now) : {};
  return make("li", {}, title, beside
    ? make("div", {class: "sides"}, turnBox("Baseline", was, left.by, words.left), turnBox("Now", now, right.by, words.right, failure))
    : turnBox("", shown, (right || left).by, null, failure), expectation(the, at));
}

function turnBox(title, turn, by, words, failure) {
  const box = make("div", {class: "answer"}, title ? make("h4", {text: title}) : null);
  if (!turn) { box.append(make("p", {class: "note", text: "The conversation had ended."})); return box; }
  if (turn.missed && title) box.append(make("p", {class: "note", text: "Not reached."}));
  box.append(...turnParts(turn, by, words));
  if (failure) box.append(make("p", {}, make("span", {class: "mark system_error", text: `✗ ${visible(failure[0])}`})), modelText(failure[1].replace(/^turn \d+: /, "")));
  if (turn.marks) box.append(markList(turn.marks));
  return box;
}

// Messages as they are, and the steps between two of them as one list.
function turnParts(turn, by, words) {
  const parts = [], answer = turn.entries.lastIndexOf(answerIn(turn));
  let steps = [];
  const flush = () => { if (steps.length) parts.push(stepList(steps, "Steps", !by)); steps = []; };
  turn.entries.forEach((entry, at) => {
    if (!Array.isArray(entry)) { steps.push(entry); return; }
    flush();
    parts.push(chatTurn(entry, at === answer ? words : null));
  });
  flush();
  return parts;
}

const answerIn = (turn) => turn.entries.filter((entry) => Array.isArray(entry) && entry[0] === "assistant").pop();

function answerDiff(was, now) {
  const [left, right] = [was, now].map((turn) => turn && answerIn(turn));
  const found = left && right && left[1] !== right[1] ? wordDiff(left[1], right[1]) : null;
  return found ? {left: marked(found.left, "del"), right: marked(found.right, "ins")} : {};
}

// The scripted turns of a case; a field of this name may hold anything else.
function scriptOf(the) {
  const turns = the.fields.turns;
  return Array.isArray(turns) && turns.every((turn) => turn && typeof turn.user === "string") ? turns : null;
}

// What the script expects of a turn.
function expectation(the, at) {
  const {user, ...expected} = (scriptOf(the) || [])[at] || {};
  if (!Object.keys(expected).length) return null;
  return make("details", {class: "did"}, make("summary", {text: "Expected in this turn"}),
    make("dl", {class: "provenance"}, ...Object.entries(expected).map(([name, value]) =>
      make("div", {}, make("dt", {text: visible(name)}), make("dd", {}, make("pre", {dir: "auto", text: visible(pretty(value))}))))));
}

function endParts(now, before, both) {
  const held = heldIn(now) || heldIn(before), did = held.did || {}, was = both && heldIn(before).did || {};
  return [stopLine("Ended", did), both && (was.stop !== did.stop || was.user_why !== did.user_why) ? stopLine("The baseline ended", was) : null, ...lastParts(did, "State after the conversation"),
    both && was.state !== undefined && was.state !== did.state ? folded("State after the baseline's conversation", make("pre", {dir: "auto", text: visible(was.state)})) : null];
}

function hasContextsByTurn(body) {
  const conversation = conversationOf(body);
  return Boolean(conversation) && conversation.turns.some((turn) => turn.entries.some((entry) => Array.isArray(entry) && entry[2] && entry[2].contexts));
}

// The parts of a case that its conversation shows in their place.
function coveredBy(the, now, before) {
  const conversation = conversationOf(now) || conversationOf(before), first = conversation && [...(conversation.history || []), conversation.turns[0].entries[0]];
  const bodies = [now, before].filter(Boolean);
  return {
    input: Boolean(first) && (typeof the.input === "string" ? first.length === 1 && first[0][1] === the.input : JSON.stringify(first) === JSON.stringify(the.input)),
    answer: Boolean(conversation) && bodies.every(conversationOf),
    contexts: Boolean(conversation) && bodies.every(hasContextsByTurn),
  };
}
