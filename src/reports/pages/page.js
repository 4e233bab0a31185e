
"use strict";
// Sorting, choosing columns and finding rows of a leaderboard; lighting one curve of many. Without it everything is shown.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells], lines = [...body.rows];
  const texts = lines.map((row) => row.textContent.toLowerCase());
  const shown = heads.map((head) => !head.hasAttribute("data-shut"));
  const tools = document.querySelector(`[data-find="${table.id}"]`).closest(".tools");
  const count = tools.querySelector("output"), find = tools.querySelector("input");

  const show = (place) => {
    heads[place].hidden = !shown[place];
    for (const row of lines) row.cells[place].hidden = !shown[place];
  };

  const value = (row, place) => {
    const text = row.cells[place].textContent.trim();
    const number = text === "" ? NaN : Number(text.replace("−", "-"));
    return { text, number, empty: text === "" };
  };

  const compare = (one, other) => {
    if (one.empty !== other.empty) return one.empty ? 2 : -2;
    if (!Number.isNaN(one.number) && !Number.isNaN(other.number)) return Math.sign(one.number - other.number);
    return Math.sign(one.text.localeCompare(other.text, undefined, { numeric: true }));
  };

  const sort = (place) => {
    const down = heads[place].getAttribute("aria-sort") === "ascending";
    for (const head of heads) head.removeAttribute("aria-sort");
    heads[place].setAttribute("aria-sort", down ? "descending" : "ascending");
    const keyed = lines.map((row, at) => ({ row, at, key: value(row, place) }));
    keyed.sort((a, b) => {
      const found = compare(a.key, b.key);
      return (Math.abs(found) === 2 ? found : down ? -found : found) || a.at - b.at;
    });
    body.append(...keyed.map((each) => each.row));
  };

  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = head.textContent;
    button.addEventListener("click", () => sort(place));
    head.replaceChildren(button);
    if (!shown[place]) show(place);

    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = shown[place];
    box.addEventListener("change", () => {
      shown[place] = box.checked;
      show(place);
    });
    label.append(box, ` ${button.textContent}`);
    tools.querySelector("fieldset").append(label);
  });

  const filter = () => {
    const wanted = find.value.trim().toLowerCase();
    let left = 0;
    lines.forEach((row, at) => {
      row.hidden = !texts[at].includes(wanted);
      left += !row.hidden;
    });
    count.textContent = wanted ? `${left} of ${lines.length} rows` : `${lines.length} rows`;
  };
  find.addEventListener("input", filter);
  filter();
  tools.hidden = false;
}

for (const item of document.querySelectorAll(".keys [data-key]")) {
  const chart = item.closest("figure").querySelector(".chart");
  const line = chart && chart.querySelector(`.line.${item.dataset.key}`);
  if (!line || !/^c\d$/.test(item.dataset.key)) continue;
  const light = (on) => {
    chart.classList.toggle("faint", on);
    line.classList.toggle("lit", on);
  };
  item.addEventListener("mouseenter", () => light(true));
  item.addEventListener("mouseleave", () => light(false));
}

// On paper nothing is folded away.
addEventListener("beforeprint", () => {
  for (const each of document.querySelectorAll("section > details")) each.open = true;
});
