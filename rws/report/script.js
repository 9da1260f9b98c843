"use strict";
// The switches work without this, by CSS; here: stepping through images, enlarging, sorting, searching.
(() => {
  const all = (query, inside = document) => [...inside.querySelectorAll(query)];
  const find = (id) => document.getElementById(id);
  document.documentElement.classList.add("scripted");

  const samples = all(".sample"), thumbs = all(".thumb");
  let current = 0;
  function choose(place) {
    current = (place + samples.length) % samples.length;
    samples.forEach((sample, k) => sample.classList.toggle("chosen", k === current));
    thumbs.forEach((thumb, k) => thumb.setAttribute("aria-pressed", String(k === current)));
    const strip = thumbs[current].parentElement, thumb = thumbs[current];
    strip.scrollLeft = thumb.offsetLeft - strip.offsetLeft - (strip.clientWidth - thumb.clientWidth) / 2;
  }
  thumbs.forEach((thumb, k) => thumb.addEventListener("click", () => choose(k)));
  if (samples.length) choose(0);

  const large = find("large");
  let panels = [], shown = 0;
  function enlarge(place) {
    shown = (place + panels.length) % panels.length;
    const panel = panels[shown], stack = document.createElement("div");
    stack.className = "stack" + (panel.classList.contains("kind-photo") ? " photo" : "");
    stack.append(...[...panel.querySelector(".stack").children].map((child) => child.cloneNode(true)));
    const boxes = panel.querySelector(".boxes"), copy = stack.querySelector(".boxes");
    if (boxes) copy.style.display = getComputedStyle(boxes).display;
    const place_ = find("large-stack"), style = getComputedStyle(samples[current]);
    const [width, height] = style.getPropertyValue("--ratio").split("/").map(Number);
    place_.style.setProperty("--ratio", style.getPropertyValue("--ratio"));
    place_.style.setProperty("--grey", style.getPropertyValue("--grey"));
    place_.style.setProperty("--aspect", width / height);
    place_.replaceChildren(stack);
    const title = panel.querySelector(".stack").getAttribute("aria-label").replace("Enlarge: ", "");
    const note = panel.querySelector("small");
    find("large-title").textContent = note ? `${title} (${note.textContent})` : title;
  }
  all(".panel button.stack").forEach((button) => button.addEventListener("click", () => {
    panels = all(".panel", samples[current]).filter((panel) => panel.offsetParent !== null);
    enlarge(panels.indexOf(button.closest(".panel")));
    large.showModal();
  }));
  if (large) {
    find("large-back").addEventListener("click", () => enlarge(shown - 1));
    find("large-on").addEventListener("click", () => enlarge(shown + 1));
    find("large-close").addEventListener("click", () => large.close());
    large.addEventListener("click", (event) => { if (event.target === large) large.close(); });
  }

  document.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey || !samples.length) return;
    if (event.target.closest("input, summary, .scroll")) return;
    event.preventDefault();
    if (large.open) return enlarge(shown + step);
    choose(current + step);
    if (event.target.closest(".strip")) thumbs[current].focus();
  });

  const strength = find("strength");
  if (strength) strength.addEventListener("input", () => {
    find("images").style.setProperty("--strength", strength.value / 100);
    find("strength-value").textContent = `${strength.value} %`;
  });

  function key(row, column) {
    const cell = row.cells[column];
    if (!("value" in cell.dataset)) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? null : Number(cell.dataset.value);
  }
  all("table.sortable").forEach((table) => all("thead button", table).forEach((button) => {
    button.addEventListener("click", () => {
      const head = button.closest("th"), column = head.cellIndex;
      const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      all("th[aria-sort]", table).forEach((th) => th.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down === 1 ? "ascending" : "descending");
      const rows = all("tbody tr", table).map((row) => [key(row, column), row]);
      // What does not occur stays at the end, whatever the order.
      rows.sort(([a], [b]) => (a === null) - (b === null) || (a < b ? -down : a > b ? down : 0));
      table.tBodies[0].append(...rows.map(([, row]) => row));
    });
  }));

  const search = find("find-class");
  if (search) search.addEventListener("input", () => {
    const wanted = search.value.trim().toLowerCase(), rows = all("#class-table tbody tr");
    rows.forEach((row) => { row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted); });
    find("found-classes").textContent = `${rows.filter((row) => !row.hidden).length} classes`;
  });
})();
