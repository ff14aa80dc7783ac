// Word diff by longest common subsequence; `null` where the texts are too long to compare in the page.
const DIFF_CELLS = 4e6;
const DIFF_CHARS = 1e5;
function words(text) {
  if (!Intl.Segmenter) return text.split(/(\s+)/).filter(Boolean);
  return Array.from(new Intl.Segmenter(undefined, {granularity: "word"}).segment(text), (part) => part.segment);
}

function wordDiff(before, after) {
  if (before.length + after.length > DIFF_CHARS) return null;
  const a = words(before), b = words(after);
  let start = 0, endA = a.length, endB = b.length;
  while (start < endA && start < endB && a[start] === b[start]) start += 1;
  while (endA > start && endB > start && a[endA - 1] === b[endB - 1]) { endA -= 1; endB -= 1; }
  const rows = endA - start, columns = endB - start;
  if (rows * columns > DIFF_CELLS) return null;
  const length = new Uint16Array((rows + 1) * (columns + 1)), wide = columns + 1;
  for (let i = rows - 1; i >= 0; i -= 1) {
    for (let j = columns - 1; j >= 0; j -= 1) {
      length[i * wide + j] = a[start + i] === b[start + j] ? length[(i + 1) * wide + j + 1] + 1
        : Math.max(length[(i + 1) * wide + j], length[i * wide + j + 1]);
    }
  }
  const left = a.slice(0, start).map((word) => [word, true]), right = b.slice(0, start).map((word) => [word, true]);
  let i = 0, j = 0;
  while (i < rows || j < columns) {
    if (i < rows && j < columns && a[start + i] === b[start + j]) {
      left.push([a[start + i], true]); right.push([b[start + j], true]); i += 1; j += 1;
    } else if (j >= columns || (i < rows && length[(i + 1) * wide + j] >= length[i * wide + j + 1])) {
      left.push([a[start + i], false]); i += 1;
    } else {
      right.push([b[start + j], false]); j += 1;
    }
  }
  for (const word of a.slice(endA)) { left.push([word, true]); right.push([word, true]); }
  return {left, right};
}

// Neighbouring words of one kind become one element (`tag` is `del` or `ins`); a space between changed words is changed.
function marked(found, tag) {
  const box = make("p", {class: "text", dir: "auto"});
  const isGap = (at) => !found[at][0].trim() && at > 0 && at + 1 < found.length && !found[at - 1][1] && !found[at + 1][1];
  let run = "", same = true;
  const flush = () => {
    if (run) box.append(same ? document.createTextNode(visible(run)) : make(tag, {text: visible(run)}));
    run = "";
  };
  for (let at = 0; at < found.length; at += 1) {
    const word = found[at][0], equal = found[at][1] && !isGap(at);
    if (equal !== same) { flush(); same = equal; }
    run += word;
  }
  flush();
  return box;
}
