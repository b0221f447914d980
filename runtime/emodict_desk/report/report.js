// A cursor through all plots of a session, the distribution under it in the legend.
for (const section of document.querySelectorAll("section")) {
  const held = section.querySelector("script[type='application/json']");
  if (!held) continue;
  const data = JSON.parse(held.textContent);
  const values = [...section.querySelectorAll(".legend .value")];
  const readout = section.querySelector(".readout");
  const cursors = section.querySelectorAll(".cursor");
  const rest = values.map((value) => value.textContent);
  const restText = readout.textContent;

  const two = (n) => String(Math.floor(n)).padStart(2, "0");
  const day = (at) => [(at / 3600) % 24, (at / 60) % 60, at % 60].map(two).join(":");
  const clock = (at) => {
    if (data.unit === "row") return "row " + Math.round(at);
    if (data.unit === "s") return +at.toFixed(2) + " s";
    const minutes = data.unit === "min:s" ? Math.floor(at / 60) : Math.floor(at / 3600) + ":" + two((at % 3600) / 60);
    return minutes + ":" + two(at % 60);
  };
  const show = (column) => {
    const shares = data.shares[column];
    const at = data.start + column * data.width;
    const when = data.day === undefined ? clock(at) : day(data.day + at) + " (" + clock(at) + " from the start)";
    readout.textContent = "At " + when + (shares ? ":" : ": no answer");
    values.forEach((value, i) => (value.textContent = shares ? (shares[i] / 10).toFixed(1) + " %" : "–"));
    for (const cursor of cursors) {
      const x = (100 * (column + 0.5)) / data.shares.length + "%";
      cursor.setAttribute("x1", x);
      cursor.setAttribute("x2", x);
      cursor.classList.add("on");
    }
  };
  const clear = () => {
    readout.textContent = restText;
    values.forEach((value, i) => (value.textContent = rest[i]));
    cursors.forEach((cursor) => cursor.classList.remove("on"));
  };
  for (const svg of section.querySelectorAll("svg.plot")) {
    svg.addEventListener("pointermove", (event) => {
      const box = svg.querySelector(".frame").getBoundingClientRect();
      const column = Math.floor(((event.clientX - box.left) / box.width) * data.shares.length);
      if (column >= 0 && column < data.shares.length) show(column);
    });
    svg.addEventListener("pointerleave", clear);
  }
}
