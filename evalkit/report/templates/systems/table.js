// The table of systems: a click on the head of a column sorts by it; unknown values are last in either direction.
for (const head of document.querySelectorAll("#table thead th[data-sort]")) {
  const [name, ...rest] = [...head.childNodes];
  const button = make("button", {type: "button", text: name.textContent.trim(), on: {click: () => sortBy(head)}});
  head.replaceChildren(button, ...rest);
}

function sortBy(head) {
  const place = head.cellIndex, text = head.dataset.sort === "text", body = document.querySelector("#table tbody");
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const valueOf = (row) => row.children[place].dataset.value;
  const compare = (a, b) => text ? a.localeCompare(b, "en") : Number(a) - Number(b);
  const rows = [...body.children].sort((one, other) => {
    const a = valueOf(one), b = valueOf(other);
    if (a === "" || b === "") return (a === "") - (b === "");
    return down ? compare(b, a) : compare(a, b);
  });
  body.append(...rows);
}
