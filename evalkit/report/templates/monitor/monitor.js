// The page of a monitor: the theme, a search in the table of streams, and links that open what folds their target.
setUpTheme();

if ($("rows")) {
  const rows = [...$("rows").rows].map((row) => ({row, text: row.textContent.toLowerCase()}));
  const search = () => {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const each of rows) {
      each.row.hidden = !words.every((word) => each.text.includes(word));
      shown += !each.row.hidden;
    }
    $("count").textContent = `${count(shown)} of ${count(rows.length)} shown`;
  };
  $("search").addEventListener("input", search);
  $("filters").addEventListener("submit", (event) => event.preventDefault());
  search();
}

function unfold() {
  const target = location.hash.length > 1 && $(location.hash.slice(1));
  for (let at = target && target.parentElement; at; at = at.parentElement) if (at.localName === "details") at.open = true;
  if (target) target.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
document.documentElement.dataset.ready = "1";
