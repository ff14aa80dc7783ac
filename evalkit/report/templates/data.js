// The data blocks: base64 gzip, opened when they are needed; eight chunks are kept.
const KEPT_CHUNKS = 8;
const COL = {id: 0, repeat: 1, verdict: 2, change: 3, kind: 4, severity: 5, cohorts: 6, question: 7, latency: 8,
  marks: 9, values: 10, base: 11};
const data = {rows: [], legend: null, candidates: 0};
const chunks = new Map();

async function unpack(name) {
  const block = document.getElementById(name);
  if (!block) throw new Error(`The data block ${name} is missing: the file is cut off.`);
  const binary = atob(block.textContent);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i += 1) bytes[i] = binary.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return JSON.parse(await new Response(stream).text());
}

async function loadIndex() {
  const index = await unpack("index");
  data.rows = index.rows;
  data.legend = index.legend;
  const removed = data.legend.verdicts.indexOf("removed");
  data.candidates = data.rows.length;
  while (data.candidates > 0 && data.rows[data.candidates - 1][COL.verdict] === removed) data.candidates -= 1;
  for (const row of data.rows) row.text = `${row[COL.id]}\n${row[COL.question]}`.toLowerCase();
}

async function bodyAt(kind, position) {
  const name = `${kind}-${Math.floor(position / data.legend.chunk)}`;
  let chunk = chunks.get(name);
  chunks.delete(name);
  chunk = chunk || await unpack(name);
  chunks.set(name, chunk);
  if (chunks.size > KEPT_CHUNKS) chunks.delete(chunks.keys().next().value);
  return chunk[position % data.legend.chunk];
}

// The body of a row and that of its baseline; a removed case has only the latter.
async function bodiesOf(place) {
  const base = data.rows[place][COL.base];
  const before = base >= 0 ? await bodyAt("base", base) : null;
  return place < data.candidates ? {now: await bodyAt("rows", place), before} : {now: null, before};
}

const verdictOf = (row) => data.legend.verdicts[row[COL.verdict]];
const changeOf = (row) => data.legend.changes[row[COL.change]];
const isFailure = (row) => verdictOf(row) === "failed" || verdictOf(row) === "system_error";
function cohortsOf(row) {
  const named = [];
  data.legend.cohorts.forEach(([name, values], place) => {
    const code = row[COL.cohorts][place];
    if (code !== undefined && code >= 0) named.push(`${name}=${values[code]}`);
  });
  return named;
}
