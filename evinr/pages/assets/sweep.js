// A run is lit wherever it is drawn; a pull along an axis keeps only the runs that pass there.
"use strict";
(() => {
  const find = (selector, of = document) => [...of.querySelectorAll(selector)];
  const picture = document.querySelector(".parallel");
  const said = document.querySelector(".said");
  const marks = new Map(); // all that stands for a run
  for (const mark of find("[data-run]")) {
    const run = mark.dataset.run;
    if (!marks.has(run)) marks.set(run, []);
    marks.get(run).push(mark);
  }

  const silent = said?.textContent;
  function light(run, on) {
    for (const mark of marks.get(run)) mark.classList.toggle("lit", on);
    const told = marks.get(run).find((mark) => mark.querySelector(":scope > title"));
    if (said) said.textContent = on && told ? told.querySelector("title").textContent : silent;
  }
  for (const [run, all] of marks)
    for (const mark of all) {
      mark.addEventListener("pointerenter", () => light(run, true));
      mark.addEventListener("pointerleave", () => light(run, false));
    }

  if (picture) {
    const lines = find(".run", picture).map((line) => ({ run: line.dataset.run, places: JSON.parse(line.dataset.places) }));
    const kept = new Map(); // of an axis, from the lower place to the higher one

    const filter = () => {
      for (const { run, places } of lines) {
        const inside = [...kept].every(([axis, [low, high]]) => places[axis] >= low && places[axis] <= high);
        for (const mark of marks.get(run)) mark.classList.toggle("out", !inside);
      }
      picture.dataset.kept = lines.length - find(".run.out", picture).length; // for tests
    };

    for (const column of find(".column", picture)) {
      const axis = Number(column.dataset.axis);
      const [grip, brush] = [column.querySelector(".grip"), column.querySelector(".brush")];
      const line = column.querySelector(".axis");
      const [top, height] = [line.getBBox().y, line.getBBox().height];
      let from = null;
      const place = (event) => {
        const box = line.getBoundingClientRect();
        return Math.min(Math.max(1 - (event.clientY - box.top) / box.height, 0), 1);
      };
      const keep = (range) => {
        if (range) kept.set(axis, range);
        else kept.delete(axis);
        const [low, high] = range ?? [0, 0];
        brush.setAttribute("y", top + height * (1 - high));
        brush.setAttribute("height", height * (high - low));
        filter();
      };
      grip.addEventListener("pointerdown", (event) => {
        grip.setPointerCapture(event.pointerId);
        from = place(event);
        keep(null);
      });
      grip.addEventListener("pointermove", (event) => {
        if (from === null) return;
        const to = place(event);
        if (Math.abs(to - from) > 0.01) keep([Math.min(from, to), Math.max(from, to)]);
      });
      for (const end of ["pointerup", "pointercancel"]) grip.addEventListener(end, () => (from = null));
    }
    filter();
  }
  document.documentElement.classList.add("scripted");
})();
