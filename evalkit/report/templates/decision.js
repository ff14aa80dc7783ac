// The release decision: what people enter goes into the record that the run wrote, which is offered as a file.
const BLANK = "(to be filled in)";
let record = "";

setUps.push(async () => {
  const form = $("decision-form");
  if (!form) return;
  record = await unpack("record");
  restoreEntries(form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    download("release_decision.md", filledRecord(form));
  });
  form.addEventListener("input", () => keepEntries(form));
  $("decision-preview").addEventListener("toggle", () => showRecord(form));
  showRecord(form);
});

const entriesOf = (form) => [...form.elements].filter((field) => field.name && (field.type !== "radio" || field.checked))
  .map((field) => [field.name, field.value]);

function keepEntries(form) {
  remembered(`evalkit-decision-${form.dataset.run}`, JSON.stringify(entriesOf(form)));
  showRecord(form);
}

function restoreEntries(form) {
  try {
    for (const [name, value] of JSON.parse(remembered(`evalkit-decision-${form.dataset.run}`) || "[]")) {
      const field = form.elements.namedItem(name);
      if (field) field.value = value;
    }
  } catch (error) {
    // What was kept is not readable: the form starts empty.
  }
}

function showRecord(form) {
  const blank = [...form.querySelectorAll("[data-asked]")].filter((field) => !asked(form, field)).map((field) => field.dataset.asked);
  $("decision-blank").textContent = blank.length ? `Still blank: ${[...new Set(blank)].join(", ")}.` : allFilled(filledRecord(form));
  if ($("decision-preview").open) $("decision-text").value = filledRecord(form);
}

// A topic that no check is named for has no field here.
function allFilled(text) {
  const left = text.split(BLANK).length - 1;
  return left ? `Every field here is filled in. ${left} more in the record: look for "${BLANK}".` : "Every field is filled in.";
}

const asked = (form, field) => (field.type === "radio" ? form.elements.namedItem(field.name).value : field.value.trim());

function filledRecord(form) {
  const entry = (name) => { const field = form.elements.namedItem(name); return field ? field.value.trim() : ""; };
  let text = record;
  text = inSection(text, "Known failures", (body) => withRemediations(body, entry));
  text = inSection(text, "Residual risk", (body) => body.replace(BLANK, () => entry("risk") || BLANK));
  text = inSection(text, "Human oversight", (body) => entry("oversight") || body);
  text = inSection(text, "Required follow-up", (body) => entry("follow_up") ? withoutBlank(body, entry("follow_up")) : body);
  const conditions = entry("conditions") || (["Approve", "Block"].includes(entry("decision")) ? "none" : "");
  return inSection(text, "Decision of the people", (body) => [["Decision", entry("decision")], ["Conditions", conditions],
    ["Approvers", entry("approvers")], ["Date", entry("date")]].reduce((rows, [name, value]) => withCell(rows, name, value), body));
}

// Gives the text of one section to `change`; a section that is not there is added at the end.
function inSection(text, title, change) {
  const head = `\n## ${title}\n`, start = text.indexOf(head);
  if (start < 0) return `${text}${head}\n${change("")}\n`;
  const from = start + head.length, next = text.indexOf("\n## ", from), to = next < 0 ? text.length : next;
  return `${text.slice(0, from)}\n${change(text.slice(from, to).trim())}\n${text.slice(to)}`;
}

// What was entered, in the place of the line that asks for it; the list below that line stays.
const withoutBlank = (body, entered) => body.startsWith(BLANK) ? entered + body.slice(`${body}\n`.indexOf("\n")) : `${entered}\n\n${body}`;

const cellText = (value) => value.replaceAll("|", "\u00a6").replace(/\s+/g, " ");

function withCell(rows, name, value) {
  if (!value) return rows;
  return rows.split("\n").map((line) => line.startsWith(`| ${name} |`) ? `| ${name} | ${cellText(value)} |` : line).join("\n");
}

// The rows of the table stand in the order of the form.
function withRemediations(body, entry) {
  const lines = body.split("\n"), first = lines.findIndex((line) => line.startsWith("| ---")) + 1;
  if (!first) return body;
  const names = lines[first - 2].split("|").map((name) => name.trim());
  return lines.map((line, at) => {
    if (at < first || !line.startsWith("|")) return line;
    const cells = line.split("|"), row = at - first;
    for (const [name, field] of [["Severity", "severity"], ["Remediation", "remediation"]]) {
      const value = entry(`${field}-${row}`), place = names.indexOf(name);
      if (value && place > 0) cells[place] = ` ${cellText(value)} `;
    }
    return cells.join("|");
  }).join("\n");
}
