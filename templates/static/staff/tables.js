// Writes the head of its column on each cell of a list, for phones, where the head is not shown (phone.css).
for (const table of document.querySelectorAll("#result_list")) {
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.querySelector(".text")?.textContent.trim() ?? "");
  for (const row of table.tBodies[0].rows)
    [...row.cells].forEach((cell, place) => {
      if (heads[place] && cell.tagName === "TD" && !cell.querySelector("input[type=checkbox]")) cell.dataset.told = heads[place];
      if (cell.textContent.trim() === "" && !cell.querySelector("img, input, progress")) cell.replaceChildren();
    });
  table.classList.add("told");
}
