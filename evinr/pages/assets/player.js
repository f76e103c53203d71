// All panels of the page show the same moment: one slider, one clock, pictures decoded ahead of it.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const player = document.querySelector(".player");
  const find = (name) => player.querySelector(name);
  const [slider, play, speed, reference, zoom] = ["#time", "#play", "#speed", "#reference", "#zoom"].map(find);
  const times = data.times;
  const last = times.length - 1;

  const panels = [...player.querySelectorAll(".panel")].map((panel, index) => {
    const image = panel.querySelector("img");
    const canvas = document.createElement("canvas");
    canvas.width = image.getAttribute("width"); // image.width is the width on the screen
    canvas.height = image.getAttribute("height");
    canvas.setAttribute("role", "img");
    image.replaceWith(canvas);
    const scores = [...panel.querySelectorAll("[data-metric]")];
    return { ...data.panels[index], canvas, scores, context: canvas.getContext("2d", { willReadFrequently: true }) };
  });

  // Decoded pictures, the least recently asked for first. Those of 256 MB stay, and of 24 moments at least.
  const pixels = panels.reduce((sum, { canvas }) => sum + canvas.width * canvas.height, 0);
  const capacity = Math.max(24, Math.floor(256e6 / (4 * pixels)));
  const AHEAD = 12;
  const held = new Map();

  function decoded(index) {
    const entry = held.get(index) ?? { pictures: Promise.all(panels.map((panel) => decode(panel.pictures[index]))) };
    held.delete(index);
    held.set(index, entry);
    if (held.size > capacity) {
      const [oldest, { pictures }] = held.entries().next().value;
      held.delete(oldest);
      pictures.then((all) => all.forEach((picture) => picture.close()));
    }
    return entry;
  }

  function decode(base64) {
    const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
    return createImageBitmap(new Blob([bytes], { type: "image/webp" }));
  }

  let wanted = -1;
  let shown = -1;
  let clock = times[0];

  async function show(index) {
    wanted = index;
    const entry = decoded(index);
    for (let ahead = 1; ahead <= Math.min(AHEAD, last); ahead++) decoded((index + ahead) % (last + 1));
    const pictures = await entry.pictures;
    if (wanted !== index || held.get(index) !== entry) return; // overtaken by another seek
    draw(pictures, index);
    shown = index;
    player.dataset.shown = index; // for tests
  }

  function seek(index) {
    clock = times[index];
    return show(index);
  }

  function draw(pictures, index) {
    panels.forEach(({ context, canvas, title, scores, values }, panel) => {
      context.drawImage(pictures[panel], 0, 0);
      canvas.setAttribute("aria-label", `${title}, ${data.stamps[index]}`);
      for (const score of scores) score.textContent = values[score.dataset.metric][index];
    });
    const against = reference?.value ? panels[reference.value] : null;
    for (const panel of panels) if (against && panel !== against && panel.compared) difference(panel, against);
    player.classList.toggle("differs", against !== null);
    slider.value = index;
    slider.setAttribute("aria-valuetext", data.stamps[index]);
    find("#now").textContent = data.stamps[index];
    find("#count").textContent = `picture ${index + 1} of ${last + 1}`;
    for (const cursor of document.querySelectorAll(".cursor"))
      cursor.setAttribute("transform", `translate(${1000 * part(times[index])} 0)`);
  }

  const luma = (of, at) => 0.299 * of[at] + 0.587 * of[at + 1] + 0.114 * of[at + 2];

  // Blue, white, red: darker by half of the range or more, the same, brighter.
  function difference({ context, canvas }, against) {
    const image = context.getImageData(0, 0, canvas.width, canvas.height);
    const base = against.context.getImageData(0, 0, canvas.width, canvas.height).data;
    const own = image.data;
    for (let at = 0; at < own.length; at += 4) {
      const signed = (2 * (luma(own, at) - luma(base, at))) / 255;
      const rise = Math.min(Math.max(signed, 0), 1);
      const fall = Math.min(Math.max(-signed, 0), 1);
      own[at] = 255 * (1 - fall);
      own[at + 1] = 255 * (1 - 0.85 * (rise + fall));
      own[at + 2] = 255 * (1 - rise);
    }
    context.putImageData(image, 0, 0);
  }

  const part = (time) => (last ? (time - times[0]) / (times[last] - times[0]) : 0);

  function nearest(time) {
    return times.reduce((best, other, index) => (Math.abs(other - time) < Math.abs(times[best] - time) ? index : best), 0);
  }

  // Playing follows the recording's clock, slowed down; it waits for pictures, holds the last one a moment, and starts anew.
  let playing = false;
  let before = 0;

  function tick(now) {
    if (!playing) return;
    const passed = Math.min(Math.max(now - before, 0), 100) / 1000; // the first picture may be dated before the key
    before = now;
    if (shown === wanted) clock += passed * Number(speed.value);
    if (clock > times[last] + (times[last] - times[0]) / last) clock = times[0];
    const index = times.findLastIndex((time) => time <= clock);
    if (index !== wanted) show(index);
    requestAnimationFrame(tick);
  }

  function toggle(on = !playing) {
    playing = on && last > 0;
    play.textContent = playing ? "Pause" : "Play";
    before = performance.now();
    if (playing) requestAnimationFrame(tick);
  }

  function step(by) {
    toggle(false);
    seek((wanted + by + last + 1) % (last + 1));
  }

  play.addEventListener("click", () => toggle());
  find("#back").addEventListener("click", () => step(-1));
  find("#next").addEventListener("click", () => step(1));
  slider.addEventListener("input", () => {
    toggle(false);
    seek(Number(slider.value));
  });
  reference?.addEventListener("change", () => show(wanted));

  // The same point of all panels, in per cent: magnified about it, and ringed.
  let point = [50, 50];
  let factor = "4";

  function look(x, y) {
    point = [x, y].map((value) => Math.min(Math.max(value, 0), 100));
    player.style.setProperty("--x", `${point[0]}%`);
    player.style.setProperty("--y", `${point[1]}%`);
  }

  function magnify() {
    if (zoom.value !== "1") factor = zoom.value;
    player.style.setProperty("--zoom", zoom.value);
    player.classList.toggle("magnified", zoom.value !== "1");
  }

  zoom.addEventListener("change", magnify);
  for (const view of player.querySelectorAll(".view")) {
    const follow = (event) => {
      const box = view.getBoundingClientRect();
      look((100 * (event.clientX - box.left)) / box.width, (100 * (event.clientY - box.top)) / box.height);
    };
    view.addEventListener("pointermove", follow);
    view.addEventListener("click", (event) => {
      follow(event);
      zoom.value = zoom.value === "1" ? factor : "1";
      magnify();
    });
  }

  // A click on a curve, or a pull along it, seeks.
  for (const chart of document.querySelectorAll("svg.seek")) {
    const follow = (event) => {
      if (event.type === "pointermove" && event.buttons !== 1) return;
      const box = chart.getBoundingClientRect();
      toggle(false);
      seek(nearest(times[0] + ((event.clientX - box.left) / box.width) * (times[last] - times[0])));
    };
    chart.addEventListener("pointerdown", follow);
    chart.addEventListener("pointermove", follow);
  }

  const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest("select, summary, [tabindex]")) return;
    const move = moves[event.key];
    if (event.key === " " && event.target.closest("button") === null) toggle();
    else if (event.shiftKey && move) look(point[0] + 2 * move[0], point[1] + 2 * move[1]);
    else if (!event.shiftKey && move?.[0]) step(move[0]);
    else if (event.key === "Home") step(-wanted);
    else if (event.key === "End") step(last - wanted);
    else if (event.key === "d" && reference) {
      reference.selectedIndex = reference.selectedIndex ? 0 : 1;
      show(wanted);
    } else if (event.key === "m") {
      zoom.value = zoom.value === "1" ? factor : "1";
      magnify();
    } else return;
    event.preventDefault();
  });

  look(...point);
  document.documentElement.classList.add("scripted");
  seek(0);
})();
