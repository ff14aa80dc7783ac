(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const queue = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob($("queue").textContent), (c) => c.charCodeAt(0))));
  const items = queue.items;
  const slot = `evalkit-drafts:${queue.id}`;
  const edited = ["question", "reference"];
  // What is decided: reviewer, place, decision and edited texts by position, and the order of decisions for undo.
  const state = {reviewer: "", place: 0, decisions: {}, edits: {}, done: []};
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
    const ready = Object.keys(state.decisions).length;
    const accepted = Object.values(state.decisions).filter((decision) => decision === "accept").length;
    $("kept").textContent = storage
      ? "Kept in this browser after each decision."
      : "This browser keeps nothing: export before you close the page.";
    $("progress").textContent = ready === items.length
      ? `All ${items.length} reviewed: export them.` : `${ready} of ${items.length} reviewed`;
    $("room").textContent = `${accepted} accepted; at most ${queue.room} can be added, because at most 20 % of a set may be synthetic.`;
    $("room").classList.toggle("alert", accepted > queue.room);
    $("bar").value = ready;
    $("undo").disabled = !state.done.length;
    $("back").disabled = state.place === 0;
    $("next").disabled = state.place === items.length - 1;
    $("export").disabled = !ready;
  }

  function texts(place) {
    return {question: items[place].question, reference: items[place].reference, ...state.edits[place]};
  }

  function complain(problem, field) {
    $("problem").textContent = problem;
    $("problem").hidden = !problem;
    if (problem) $(field).focus();
    return !problem;
  }

  // The passage with the quote marked; white space between its words may differ.
  function passage(item) {
    const words = item.quote.normalize("NFC").split(/\s+/u).filter(Boolean);
    const pattern = words.map((word) => word.replace(/[.*+?^${}()|[\]\\]/gu, "\\$&")).join("\\s+");
    const text = item.passage.normalize("NFC"), found = pattern && text.match(new RegExp(pattern, "u"));
    if (!found) return [visible(text)];
    const mark = document.createElement("mark");
    mark.textContent = visible(found[0]);
    return [visible(text.slice(0, found.index)), mark, visible(text.slice(found.index + found[0].length))];
  }

  function show(focus = true) {
    const item = items[state.place], own = texts(state.place);
    $("title").textContent = `Draft ${state.place + 1} of ${items.length}`;
    const cohorts = Object.entries(item.cohorts).map(([name, value]) => `${name}=${value}`);
    $("facts").textContent = visible([...cohorts, `${item.file}:${item.lines}`, `by ${item.by}`].join(" · "));
    $("alike").textContent = visible(`Resembles ${item.alike.join(", ")}: accept it only if it means something else.`);
    $("alike").hidden = !item.alike.length;
    for (const name of edited) $(name).value = own[name];
    $("asked").textContent = visible(item.asked);
    $("asked-box").hidden = !item.asked;
    $("passage").replaceChildren(...passage(item));
    for (const decision of ["accept", "drop"]) {
      $(decision).setAttribute("aria-pressed", String(state.decisions[state.place] === decision));
    }
    kept();
    if (focus) { $("item").focus({preventScroll: true}); scrollTo(0, 0); }
  }

  function decide(decision) {
    const own = texts(state.place);
    const empty = decision === "accept" ? edited.find((name) => !own[name].trim()) : undefined;
    if (!complain(empty ? `The ${empty} is empty: write it, or drop the draft.` : "", empty)) return;
    state.decisions[state.place] = decision;
    state.done = [...state.done.filter((place) => place !== state.place), state.place];
    const open = items.map((_, place) => place).filter((place) => !(place in state.decisions));
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
    delete state.decisions[last];
    state.place = last;
    keep();
    show();
  }

  function edit() {
    $("question").focus();
    $("question").setSelectionRange($("question").value.length, $("question").value.length);
  }

  function row(place) {
    const {of, file, lines, passage, quote, cohorts, by} = items[place];
    return {
      of, decision: state.decisions[place], ...texts(place), quote, passage, file, lines, cohorts, by,
      reviewed_by: state.reviewer.trim(),
    };
  }

  function save() {
    if (!complain(state.reviewer.trim() ? "" : "Write your name or initials first: it is part of every case.", "reviewer")) return;
    const places = Object.keys(state.decisions).map(Number).sort((a, b) => a - b);
    const text = places.map((place) => JSON.stringify(row(place)) + "\n").join("");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "application/jsonl"}));
    link.download = `drafts-${state.reviewer.trim().replace(/[^\p{L}\p{N}_-]+/gu, "-")}.jsonl`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    exported = true;
    $("kept").textContent = `${places.length} ${places.length === 1 ? "decision" : "decisions"} exported as ${link.download}.`;
  }

  const actions = {
    a: () => decide("accept"), d: () => decide("drop"), e: edit, u: undo, j: () => move(1), k: () => move(-1), x: save,
  };
  const buttons = {accept: "a", drop: "d", edit: "e", undo: "u", back: "k", next: "j", export: "x"};
  for (const [id, key] of Object.entries(buttons)) $(id).addEventListener("click", actions[key]);
  $("reviewer").addEventListener("input", () => { state.reviewer = $("reviewer").value; keep(); });
  for (const name of edited) {
    $(name).addEventListener("input", () => {
      state.edits[state.place] = {...state.edits[state.place], [name]: $(name).value};
      keep();
    });
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), textarea");
    if (typing && (event.key === "Escape" || (event.key === "Enter" && typing === $("reviewer")))) {
      event.preventDefault();
      $("item").focus();
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !$("keys").checked) return;
    if (Object.hasOwn(actions, event.key)) { event.preventDefault(); actions[event.key](); }
  });
  addEventListener("beforeunload", (event) => { if (!storage && !exported) event.preventDefault(); });

  load();
  $("reviewer").value = state.reviewer;
  show(false);
  document.documentElement.dataset.ready = "1";
})();
