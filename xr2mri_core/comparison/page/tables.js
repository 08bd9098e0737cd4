// A click on a column's title sorts its table; a second click the other way round.
"use strict";

for (const table of document.querySelectorAll("table.sortable")) {
  table.querySelectorAll("thead th").forEach((title, column) => {
    title.tabIndex = 0;
    const sort = () => {
      const descending = title.getAttribute("aria-sort") !== "descending";
      for (const other of table.querySelectorAll("thead th")) other.removeAttribute("aria-sort");
      title.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const value = (row) => {
        const cell = row.cells[column];
        const number = parseFloat(cell.dataset.value ?? cell.textContent);
        return Number.isNaN(number) ? null : number;
      };
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) {
          if (x === y) return a.cells[column].textContent.localeCompare(b.cells[column].textContent);
          return x === null ? 1 : -1; // what has no number stays below
        }
        return descending ? y - x : x - y;
      });
      table.tBodies[0].append(...rows);
    };
    title.addEventListener("click", sort);
    title.addEventListener("keydown", (event) => { if (event.key === "Enter") sort(); });
  });
}
