// Sort by a column, filter by words.
const body = document.querySelector("#questions tbody");
const rows = [...body.rows];
const heads = [...document.querySelectorAll("#questions th")];

function valueOf(row, column) {
  const value = row.cells[column].dataset.value;
  return value !== "" && Number.isFinite(Number(value)) ? Number(value) : value;
}

function compare(one, two) {
  if (typeof one === "number" && typeof two === "number") return one - two;
  return String(one).localeCompare(String(two));
}

heads.forEach((head, column) =>
  head.firstElementChild.addEventListener("click", () => {
    const descending = head.getAttribute("aria-sort") === "ascending";
    for (const each of heads) each.setAttribute("aria-sort", "none");
    head.setAttribute("aria-sort", descending ? "descending" : "ascending");
    const sign = descending ? -1 : 1;
    body.append(...rows.sort((one, two) => sign * compare(valueOf(one, column), valueOf(two, column))));
  }),
);

const filter = document.getElementById("filter");
const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const row of rows) {
    const text = texts.get(row);
    row.hidden = !words.every((word) => text.includes(word));
    shown += !row.hidden;
  }
  document.getElementById("shown").textContent = `${shown} of ${rows.length} questions`;
});
