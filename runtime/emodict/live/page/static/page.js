// The live page: rows come over a WebSocket, and each is drawn as it comes. What is not known is never drawn.
"use strict";

const MINUTE = 60;
// Rows come every second; after so long without one, what the page shows is no longer "this second".
const LATE_MS = 3000;
// A connection that says nothing for so long may be dead without knowing.
const DEAD_MS = 30000;
const FIRST_TRY_MS = 500;
const LAST_TRY_MS = 10000;
const STEADY_MS = 5000;
const NAMES = { eeg: "EEG", ppg: "PPG", gsr: "GSR", video: "Face" };
const SVG = "http://www.w3.org/2000/svg";

const byId = (id) => document.getElementById(id);
const nameOf = (modality) => NAMES[modality] || modality;
const two = (number) => String(Math.floor(number)).padStart(2, "0");
const signed = (number, digits) => (digits === undefined ? String(number) : number.toFixed(digits)).replace("-", "−");
const percent = (share) => (100 * share).toFixed(1) + " %";

let hello = null;
let rows = [];
let lastRowAt = null;
let weightScale = [0, 0];

// ---- small builders: names and devices are other people's words, so they only ever become text ----

function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function shape(tag, attributes, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function clockOf(start) {
  const minutes = Math.floor(start / 60);
  return minutes >= 60 ? Math.floor(minutes / 60) + ":" + two(minutes % 60) + ":" + two(start % 60) : minutes + ":" + two(start % 60);
}

// ---- a run begins ----

function begin(said) {
  hello = said;
  rows = [];
  weightScale = [0, 0];
  const parts = [said.model, said.features, said.precision, "from " + said.source];
  setText(byId("model"), parts.filter(Boolean).join(" · "));
  byId("emotions").replaceChildren(...said.emotions.map((name, i) => {
    const line = element("li");
    const label = element("span", "name", name);
    label.title = name;
    const track = element("span", "track");
    const fill = element("span", "fill");
    fill.style.background = said.colours[i];
    track.append(fill);
    line.append(label, track, element("span", "value", "–"));
    return line;
  }));
  byId("sensors").replaceChildren();
  byId("no-sensors").hidden = false;
  showScale(0.25);
  drawMinute();
  showNothing("No row yet");
}

// ---- a second ----

function show(row) {
  byId("simulated").hidden = !row.simulated.length;
  setText(byId("simulated-what"), row.simulated.join(" and "));
  byId("doubts").hidden = !row.doubts.length;
  setText(byId("doubts"), row.doubts.map((doubt) => "Doubtful: " + doubt + ".").join(" "));
  document.title = (row.simulated.length ? "SIMULATED · " : "") + "emodict live";
  const start = Math.round(row.start_s);
  setText(byId("when"), clockOf(start) + " into the run");
  setText(byId("until"), "until " + new Date(1000 * (row.unix_s + 1)).toLocaleTimeString());
  setText(byId("delay"), row.delay_s === null ? "" : "This row was ready " + Math.round(1000 * row.delay_s) + " ms after its second.");
  if (row.answer) {
    showAnswer(row.answer);
    showWeights(row.weights);
  } else {
    const invalid = row.sensors.filter((sensor) => !sensor.valid).map((sensor) => nameOf(sensor.modality));
    showNothing("No answer for this second" + (invalid.length ? ": not valid: " + invalid.join(", ") : ""));
  }
  showSensors(row.sensors);
  drawMinute();
}

function showScale(fullScale) {
  setText(byId("half"), String(50 * fullScale));
  setText(byId("full"), 100 * fullScale + " %");
}

function showAnswer(answer) {
  byId("silent").hidden = true;
  document.body.classList.remove("quiet");
  const most = Math.max(...rows.map((row) => (row.answer ? Math.max(...row.answer) : 0)));
  const fullScale = [0.25, 0.5, 1].find((scale) => most <= scale) || 1;
  showScale(fullScale);
  [...byId("emotions").children].forEach((line, i) => {
    line.querySelector(".fill").style.width = (100 * answer[i]) / fullScale + "%";
    setText(line.querySelector(".value"), percent(answer[i]));
  });
}

function showNothing(why) {
  setText(byId("silent"), why + ".");
  byId("silent").hidden = false;
  document.body.classList.add("quiet");
  for (const line of byId("emotions").children) {
    line.querySelector(".fill").style.width = "0";
    setText(line.querySelector(".value"), "–");
  }
  showWeights(null);
}

// What was true some seconds ago may not be true now: only the history keeps it.
function showStale(why) {
  showNothing(why);
  if (rows.length) setText(byId("when"), "last row " + clockOf(Math.round(rows[rows.length - 1].start_s)) + " into the run");
  setText(byId("delay"), "");
  for (const card of byId("sensors").children) {
    const pill = card.querySelector(".pill");
    pill.dataset.state = "unknown";
    setText(pill, "unknown");
    fillQuality(card, null, "–");
  }
}

function showSensors(sensors) {
  const list = byId("sensors");
  byId("no-sensors").hidden = sensors.length > 0;
  const known = [...list.children].map((card) => card.dataset.modality).join();
  if (known !== sensors.map((sensor) => sensor.modality).join()) list.replaceChildren(...sensors.map(sensorCard));
  sensors.forEach((sensor, i) => fillCard(list.children[i], sensor));
}

function sensorCard(sensor) {
  const card = element("li");
  card.dataset.modality = sensor.modality;
  const top = element("div", "top");
  top.append(element("h3", "", nameOf(sensor.modality)), element("span", "pill"));
  const quality = element("div", "quality");
  const track = element("span", "track");
  track.append(element("span", "fill"));
  track.setAttribute("role", "meter");
  track.setAttribute("aria-valuemin", "0");
  track.setAttribute("aria-valuemax", "1");
  track.setAttribute("aria-label", "Quality of " + nameOf(sensor.modality));
  quality.append(track, element("span", "value"));
  const plot = shape("svg", { class: "plot", role: "img", viewBox: "0 0 60 100", preserveAspectRatio: "none" });
  plot.setAttribute("aria-label", "Quality of " + nameOf(sensor.modality) + " over the last minute");
  card.append(top, element("p", "facts device"), quality, plot);
  return card;
}

function fillCard(card, sensor) {
  const pill = card.querySelector(".pill");
  pill.dataset.state = sensor.state;
  setText(pill, sensor.state);
  const late = sensor.late_samples ? sensor.late_samples + " late" : "";
  const rate = sensor.rate_hz ? +sensor.rate_hz.toFixed(2) + " Hz" : "";
  const device = card.querySelector(".device");
  setText(device, [sensor.device, rate, late].filter(Boolean).join(" · ") || "never seen");
  device.title = device.textContent;
  const known = sensor.valid && sensor.quality !== null;
  if (known) fillQuality(card, sensor.quality, sensor.quality.toFixed(2));
  else fillQuality(card, null, sensor.valid ? "–" : "not valid");
  card.classList.toggle("not-valid", !sensor.valid);
  drawQuality(card.querySelector("svg"), sensor.modality);
}

function fillQuality(card, quality, words) {
  card.classList.remove("not-valid");
  card.querySelector(".fill").style.width = quality === null ? "0" : 100 * quality + "%";
  setText(card.querySelector(".quality .value"), words);
  const meter = card.querySelector(".track");
  meter.setAttribute("aria-valuenow", quality === null ? "0" : quality.toFixed(2));
  meter.setAttribute("aria-valuetext", words);
}

// ---- plots: a column a second, the newest at the right ----

function columns() {
  const made = new Array(MINUTE).fill(null);
  if (!rows.length) return made;
  const newest = Math.round(rows[rows.length - 1].start_s);
  for (const row of rows) {
    const at = MINUTE - 1 - (newest - Math.round(row.start_s));
    if (at >= 0 && at < MINUTE) made[at] = row;
  }
  return made;
}

function runs(where) {
  const found = [];
  where.forEach((is, i) => {
    if (!is) return;
    if (i && where[i - 1]) found[found.length - 1][1] = i + 1;
    else found.push([i, i + 1]);
  });
  return found;
}

function outline(tops, first, stop) {
  const y = (i) => (1000 * (1 - tops[i])).toFixed(0);
  const middle = [];
  for (let i = first; i < stop; i++) middle.push(i + 0.5 + "," + y(i));
  return first + ",1000 " + first + "," + y(first) + " " + middle.join(" ") + " " + stop + "," + y(stop - 1) + " " + stop + ",1000";
}

function drawMinute() {
  const plot = byId("minute");
  const seconds = columns();
  const inner = shape("svg", { width: "100%", height: "100%", viewBox: "0 0 60 1000", preserveAspectRatio: "none" });
  const stretches = runs(seconds.map((row) => row !== null && row.answer !== null));
  const sums = seconds.map(() => 0);
  const layers = hello.emotions.map((_, i) => {
    seconds.forEach((row, at) => (sums[at] += row && row.answer ? row.answer[i] : 0));
    const tops = sums.map((sum) => Math.min(1, sum));
    return stretches.map(([first, stop]) => shape("polygon", { class: "share", fill: hello.colours[i], points: outline(tops, first, stop) }));
  });
  // The highest first, so that no seam shows.
  inner.append(...layers.reverse().flat());
  const gaps = runs(seconds.map((row) => row !== null && row.answer === null)).map(([first, stop]) =>
    shape("rect", { class: "gap", x: (100 * first) / MINUTE + "%", width: (100 * (stop - first)) / MINUTE + "%", height: "100%" }));
  plot.replaceChildren(shape("rect", { class: "frame", width: "100%", height: "100%" }), ...gaps, inner);
  for (const [at, text] of [[0, "100 %"], [25, "75"], [50, "50"], [75, "25"], [100, "0"]]) {
    plot.append(shape("line", { class: "grid", x2: "100%", y1: at + "%", y2: at + "%" }), shape("text", { class: "y", x: -6, y: at + "%" }, text));
  }
  for (const back of [60, 45, 30, 15, 0]) {
    const x = (100 * (MINUTE - back)) / MINUTE + "%";
    plot.append(shape("line", { class: "grid", y2: "100%", x1: x, x2: x }));
    plot.append(shape("text", { class: back ? "x" : "x last", x, y: "100%", dy: 16 }, back ? "−" + back : "0 s"));
  }
}

function drawQuality(plot, modality) {
  const seconds = columns().map((row) => row && row.sensors.find((sensor) => sensor.modality === modality));
  plot.replaceChildren();
  seconds.forEach((sensor, at) => {
    if (!sensor) return;
    const height = sensor.valid ? 100 * (sensor.quality || 0) : 100;
    plot.append(shape("rect", { class: sensor.valid ? "level" : "invalid", x: at, y: 100 - height, width: 1, height }));
  });
}

function showWeights(weights) {
  const plot = byId("weights");
  const known = weights && weights.every((weight) => weight !== null);
  if (!known) {
    plot.setAttribute("aria-label", "No weights: no answer");
    setText(byId("weights-range"), "no answer");
    plot.replaceChildren(shape("rect", { class: "gap", width: "100%", height: "100%" }), shape("rect", { class: "frame", width: "100%", height: "100%" }));
    return;
  }
  const least = Math.min(...weights);
  const most = Math.max(...weights);
  const words = weights.length + " elements, from " + signed(least, 2) + " to " + signed(most, 2);
  setText(byId("weights-range"), words);
  plot.setAttribute("aria-label", words);
  // A scale that only ever grows: bars that move must not be the scale that moves.
  weightScale = [Math.max(weightScale[0], niceLimit(most)), Math.max(weightScale[1], niceLimit(-least))];
  const [top, bottom] = weightScale;
  const span = top + bottom || 1;
  const y = (value) => (100 * (top - value)) / span;
  const wide = 100 / weights.length;
  const bars = weights.map((weight, i) => {
    const bar = shape("rect", { class: weight < 0 ? "below" : "above", x: wide * (i + 0.12) + "%", width: wide * 0.76 + "%",
      y: Math.min(y(0), y(weight)) + "%", height: Math.abs(y(weight) - y(0)) + "%" });
    bar.append(shape("title", {}, "element " + (i + 1) + ": " + signed(weight, 3)));
    return bar;
  });
  plot.replaceChildren(shape("rect", { class: "frame", width: "100%", height: "100%" }), ...bars);
  plot.append(shape("line", { class: "zero", x2: "100%", y1: y(0) + "%", y2: y(0) + "%" }));
  for (const value of new Set([top, 0, -bottom])) {
    plot.append(shape("text", { class: "y", x: -6, y: y(value) + "%" }, signed(value)));
  }
  for (const number of [1, 8, 16, 24, 32].filter((n) => n <= weights.length)) {
    plot.append(shape("text", { class: "x", x: wide * (number - 0.5) + "%", y: "100%", dy: 15 }, String(number)));
  }
}

function niceLimit(value) {
  if (value <= 0) return 0;
  const step = 10 ** Math.floor(Math.log10(value));
  return +([1, 1.5, 2, 3, 4, 5, 7.5, 10].find((times) => times * step >= value) * step).toPrecision(2);
}

// ---- the connection ----

let socket = null;
let tries = 0;
let nextTryAt = null;
let openedAt = null;
let heardAt = 0;

function say(state, words, count) {
  byId("link").dataset.state = state;
  setText(byId("link-words"), words);
  setText(byId("link-count"), count || "");
}

function connect() {
  nextTryAt = null;
  const ours = new WebSocket((location.protocol === "https:" ? "wss://" : "ws://") + location.host + "/rows");
  socket = ours;
  heardAt = performance.now();
  ours.onopen = () => {
    openedAt = heardAt = performance.now();
    byId("refused").hidden = true;
    lookAround();
  };
  ours.onmessage = (event) => {
    heardAt = performance.now();
    take(JSON.parse(event.data));
  };
  ours.onclose = () => {
    if (ours === socket) lost();
  };
}

function take(news) {
  if (news.hello) begin(news.hello);
  if (!news.now || !hello) return;
  rows = [...rows, ...news.past, news.now].slice(-MINUTE);
  lastRowAt = performance.now();
  show(news.now);
  lookAround();
}

function lost() {
  const now = performance.now();
  const wasOpen = openedAt !== null;
  // One that held for a while starts counting again; one that opens and closes at once does not.
  if (wasOpen && now - openedAt > STEADY_MS) tries = 0;
  socket = null;
  openedAt = null;
  lastRowAt = null;
  if (hello) showStale("Not connected: there is no newer row");
  // Not all browsers at once after a restart.
  nextTryAt = now + Math.min(LAST_TRY_MS, FIRST_TRY_MS * 2 ** tries) * (0.8 + 0.4 * Math.random());
  tries += 1;
  lookAround();
  if (!wasOpen) askWhy();
}

// A script is not told why its WebSocket was refused; the server says it in a sentence to whoever knocks.
async function askWhy() {
  let sentence = "";
  try {
    const answer = await fetch("/knock", { cache: "no-store" });
    if (!answer.ok) sentence = (await answer.text()).trim();
  } catch {
    // Nobody is there: the line above says so.
  }
  setText(byId("refused"), sentence);
  byId("refused").hidden = !sentence;
}

function lookAround() {
  const now = performance.now();
  if (socket === null) {
    if (now >= nextTryAt) connect();
    else say("broken", "Reconnecting", "in " + Math.ceil((nextTryAt - now) / 1000) + " s, try " + tries);
  } else if (openedAt === null) {
    say(tries ? "broken" : "connecting", tries ? "Reconnecting" : "Connecting", tries ? "try " + tries : "");
  } else if (lastRowAt === null) {
    say("waiting", "Connected, no row yet", "");
  } else if (now - lastRowAt > LATE_MS) {
    const silent = Math.floor((now - lastRowAt) / 1000);
    say("waiting", "Connected, but no row comes", "for " + silent + " s");
    showStale("No row for " + silent + " s");
  } else {
    say("connected", "Connected", "");
  }
  if (socket !== null && now - heardAt > DEAD_MS) {
    const silent = socket;
    lost();
    silent.close();
  }
}

function tryNow() {
  if (socket === null && !document.hidden) connect();
}

window.addEventListener("online", tryNow);
document.addEventListener("visibilitychange", tryNow);
setInterval(lookAround, 250);
connect();
