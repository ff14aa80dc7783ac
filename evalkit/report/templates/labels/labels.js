(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const queue = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob($("queue").textContent), (c) => c.charCodeAt(0))));
  const items = queue.items;
  const slot = `evalkit-labels:${queue.id}`;
  const words = {pass: "Pass", fail: "Fail"}, ends = {0: " · worst", [queue.labels.length - 1]: " · best"};
  // What is typed: rater, place, label and note by position, and the order of labelling for undo.
  const state = {rater: "", place: 0, labels: {}, notes: {}, done: []};
  let exported = true, storage = true;

  function load() {
    try {
      Object.assign(state, JSON.parse(localStorage.getItem(slot) ?? "{}"));
      exported = !state.done.length;
    } catch { storage = false; }
  }

  function keep() {
    exported = false;
    try { localStorage.setItem(slot, JSON.stringify(state)); } catch { storage = false; }
    kept();
  }

  function kept() {
    const ready = Object.keys(state.labels).length;
    $("kept").textContent = storage
      ? "Kept in this browser after each label."
      : "This browser keeps nothing: export before you close the page.";
    $("progress").textContent = ready === items.length
      ? `All ${items.length} labelled: export them.` : `${ready} of ${items.length} labelled`;
    $("bar").value = ready;
    $("undo").disabled = !state.done.length;
    $("back").disabled = state.place === 0;
    $("next").disabled = state.place === items.length - 1;
    $("export").disabled = !ready;
  }

  function part(text) {
    const box = document.createElement("div");
    box.className = "text part";
    box.dir = "auto";
    box.textContent = visible(text);
    return box;
  }

  function said([who, text]) {
    const box = document.createElement("section"), name = document.createElement("h3");
    name.textContent = visible(who);
    box.append(name, part(text || "(no text)"));
    return box;
  }

  function titled([title, text]) {
    const box = document.createElement("section"), name = document.createElement("h2");
    name.textContent = title;
    box.append(name, part(text || "(none)"));
    return box;
  }

  function show(focus = true) {
    const item = items[state.place];
    $("title").textContent = `Answer ${state.place + 1} of ${items.length}`;
    $("input").textContent = visible(item.input);
    $("question").hidden = item.conversation.length > 0;
    $("conversation").hidden = !item.conversation.length;
    $("messages").replaceChildren(...item.conversation.map(said));
    $("parts").replaceChildren(...item.parts.map(titled));
    $("references").hidden = !item.reference.length;
    $("reference").replaceChildren(...item.reference.map(part));
    $("context-box").hidden = !item.contexts.length;
    $("context-box").firstElementChild.textContent = `Contexts (${item.contexts.length})`;
    $("contexts").replaceChildren(...item.contexts.map(part));
    $("answer").textContent = visible(item.answer) || "(empty answer)";
    $("note").value = state.notes[state.place] ?? "";
    for (const button of $("choices").children) {
      button.setAttribute("aria-pressed", String(state.labels[state.place] === button.value));
    }
    kept();
    if (focus) { $("item").focus({preventScroll: true}); scrollTo(0, 0); }
  }

  function choose(label) {
    state.labels[state.place] = label;
    state.done = [...state.done.filter((place) => place !== state.place), state.place];
    onward();
  }

  function onward() {
    const open = items.map((_, place) => place).filter((place) => !(place in state.labels) && place !== state.place);
    state.place = open.find((place) => place > state.place) ?? open[0] ?? state.place;
    keep();
    show();
  }

  function move(step) {
    state.place = Math.min(items.length - 1, Math.max(0, state.place + step));
    keep();
    show();
  }

  function undo() {
    const last = state.done.pop();
    if (last === undefined) return;
    delete state.labels[last];
    state.place = last;
    keep();
    show();
  }

  function row(place) {
    const label = state.labels[place], item = items[place];
    return {
      case_id: item.case_id, answer_sha256: item.answer_sha256, scorer: queue.scorer, rubric_sha256: queue.rubric_sha256,
      label: label in words ? label : Number(label), rater: state.rater.trim(), rater_kind: "person",
      inclusion_probability: item.inclusion_probability, note: state.notes[place] || null, at: new Date().toISOString(),
      run_id: queue.run_id, seed: queue.seed, blind: true,
    };
  }

  function save() {
    const problem = state.rater.trim() ? "" : "Write your name or initials first: it stands in every label.";
    $("problem").textContent = problem;
    $("problem").hidden = !problem;
    if (problem) { $("rater").focus(); return; }
    const places = Object.keys(state.labels).map(Number).sort((a, b) => a - b);
    const text = places.map((place) => JSON.stringify(row(place)) + "\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "application/jsonl"}));
    link.download = `labels-${state.rater.trim().replace(/[^\p{L}\p{N}_-]+/gu, "-")}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    exported = true;
    $("kept").textContent = `${places.length} ${places.length === 1 ? "label" : "labels"} exported as ${link.download}.`;
  }

  const actions = {u: undo, s: onward, j: () => move(1), k: () => move(-1), e: save};

  queue.labels.forEach((label, place) => {
    const button = document.createElement("button"), key = document.createElement("kbd");
    button.type = "button";
    button.value = label;
    button.textContent = words[label] ?? label + (ends[place] ?? "");
    key.textContent = label in words ? String(place + 1) : label;
    actions[key.textContent] = () => choose(label);
    button.append(key);
    button.addEventListener("click", () => choose(label));
    $("choices").append(button);
  });
  for (const [id, key] of [["undo", "u"], ["skip", "s"], ["back", "k"], ["next", "j"], ["export", "e"]]) {
    $(id).addEventListener("click", actions[key]);
  }
  $("rater").addEventListener("input", () => { state.rater = $("rater").value; keep(); });
  $("note").addEventListener("input", () => { state.notes[state.place] = $("note").value; keep(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), textarea");
    if (typing && (event.key === "Escape" || (event.key === "Enter" && typing === $("rater")))) {
      event.preventDefault();
      $("item").focus();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !$("keys").checked) return;
    if (Object.hasOwn(actions, event.key)) { event.preventDefault(); actions[event.key](); }
  });
  addEventListener("beforeunload", (event) => { if (!storage && !exported) event.preventDefault(); });

  load();
  $("rater").value = state.rater;
  show(false);
  document.documentElement.dataset.ready = "1";
})();
