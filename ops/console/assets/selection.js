// Selection of rows: `x` selects the focused one, a button all of the page.

const all = document.getElementById("select-page");
const boxes = () => [...document.querySelectorAll("[data-row] input[type=checkbox]")];

document.addEventListener("keydown", (event) => {
  const row = event.target instanceof HTMLElement ? event.target.closest("[data-row]") : null;
  const box = row?.querySelector("input[type=checkbox]");
  if (event.key !== "x" || event.ctrlKey || event.metaKey || event.altKey || !box) {
    return;
  }
  box.checked = !box.checked;
  event.preventDefault();
});

if (all !== null) {
  all.hidden = false;
  all.addEventListener("click", () => {
    const isWhole = boxes().every((box) => box.checked);
    for (const box of boxes()) {
      box.checked = !isWhole;
    }
  });
}
