// The data blocks: base64 gzip, opened when they are needed; eight chunks are kept.
const KEPT_CHUNKS = 8;
const COL = {id: 0, repeat: 1, verdict: 2, change: 3, kind: 4, severity: 5, cohorts: 6, question: 7, latency: 8,
  marks: 9, values: 10, was: 11, flags: 12, error: 13, opinions: 14};
const data = {rows: [], legend: null, words: null};
const chunks = new Map();

async function loadIndex() {
  const index = JSON.parse(await unpack("index"));
  data.rows = index.rows;
  data.legend = index.legend;
}

// What the search looks through; made when it is first asked for.
function searched(row) {
  if (row.text === undefined) row.text = `${row[COL.id]}\n${row[COL.question]}`.toLowerCase();
  return row.text;
}

// Frequent words stand in the chunks as one character of the private use area each.
async function lengthened(text) {
  if (!data.words) data.words = JSON.parse(await unpack("words")).map((word) => `${word} `);
  return text.replace(/[\ue000-\uf8ff]/g, (code) => data.words[code.charCodeAt(0) - 0xe000]);
}

async function bodyAt(place) {
  const name = `rows-${Math.floor(place / data.legend.chunk)}`;
  let chunk = chunks.get(name);
  chunks.delete(name);
  chunk = chunk || JSON.parse(await lengthened(await unpack(name)));
  chunks.set(name, chunk);
  if (chunks.size > KEPT_CHUNKS) chunks.delete(chunks.keys().next().value);
  return chunk[place % data.legend.chunk];
}

// The case, what the system gave now, and what the baseline gave; the latter holds only what differs.
async function bodiesOf(place) {
  const body = await bodyAt(place), row = data.rows[place];
  const the = {input: row[COL.question], reference: [], contexts: [], fields: {}, ...body};
  const now = verdictOf(row) === "removed" ? null : {scores: [], ...body};
  return {the, now, before: body.before ? wholeBefore(body.before, now) : null};
}

function wholeBefore(before, now) {
  const scores = before.scores ? [...before.scores] : [];
  for (const grade of now ? now.scores : []) {
    if (before.kept === 1 || (before.kept || []).includes(grade.metric)) scores.push(grade);
  }
  const whole = {...before, scores};
  for (const part of ["output", "partial"]) if (before[part]) whole[part] = wholeOutput(before[part], now && (now.output || now.partial));
  return whole;
}

// A 1 stands for what is as it is now: a turn of the conversation, its state, why it ended.
function wholeOutput(before, now) {
  const output = {...before, text: before.text === undefined && now ? now.text : before.text};
  if (before.conversation) output.conversation = {...before.conversation, turns: before.conversation.turns.map((turn, at) => turn === 1 ? {...now.conversation.turns[at], same: true} : turn)};
  if (before.did) output.did = Object.fromEntries(Object.entries(before.did).map(([name, value]) => [name, value === 1 ? now.did[name] : value]));
  return output;
}

const verdictOf = (row) => data.legend.verdicts[row[COL.verdict]];
const changeOf = (row) => data.legend.changes[row[COL.change]];
// A failed score whose figure reaches the pass mark: something else than the figure failed it.
function failedOtherwise(metric, value, failed) {
  const mark = metric.pass_at;
  return failed && mark !== null && mark !== undefined && (metric.higher ? value >= mark : value <= mark);
}
const isFailure = (row) => data.legend.wrong.includes(verdictOf(row));
const flagsOf = (row) => data.legend.flags.filter((name, place) => row[COL.flags] & (1 << place));
const errorOf = (row) => row[COL.error] < 0 ? "" : data.legend.errors[row[COL.error]];
// The baseline's value of one metric; `undefined` where it has none.
function wasOf(row, metric) {
  const was = row[COL.was] === 0 ? row[COL.values] : row[COL.was];
  const value = was ? was[metric] : undefined;
  return value === null ? undefined : value;
}
// How much worse a row is than its baseline, as a share of the metric's range; the worst metric where none is named.
function dropOf(row, chosen) {
  let worst = -Infinity;
  if (row[COL.was] === null) return worst;
  data.legend.metrics.forEach((metric, place) => {
    if (chosen >= 0 ? place !== chosen : metric.advisory) return;
    const now = row[COL.values][place], was = wasOf(row, place);
    if (was === undefined || now === null || now === undefined) return;
    worst = Math.max(worst, (metric.higher ? was - now : now - was) / (metric.span || 1));
  });
  return worst;
}
function cohortsOf(row) {
  const named = [];
  data.legend.cohorts.forEach(([name, values], place) => {
    const code = row[COL.cohorts][place];
    if (code !== undefined && code >= 0) named.push(`${name}=${values[code]}`);
  });
  return named;
}
