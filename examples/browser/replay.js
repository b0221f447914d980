// A session replayed second by second through the raw graph, in this browser and nowhere else.
// seconds.json is from `python examples/raw_seconds.py`; on a phone the sensors give the seconds.
import * as ort from "./node_modules/onnxruntime-web/dist/ort.wasm.min.mjs";

// ?second_ms=0 replays as fast as the browser can.
const SECOND_MS = Number(new URLSearchParams(location.search).get("second_ms") ?? 1000);
const NAMES = { eeg: "EEG", ppg: "PPG", gsr: "GSR", video: "Face" };
// A bar as long as its track: the least of these that holds the largest share so far, as on the live page.
const SCALES = [0.25, 0.5, 1];
const byId = (id) => document.getElementById(id);
let largest = 0;
// For the browser's console: what came out so far.
globalThis.rows = [];

// Zeros for one wearer: what every state is before the first second.
function zeros(input) {
  const shape = [1, ...input.shape.slice(1)];
  return new ort.Tensor("float32", new Float32Array(shape.reduce((a, b) => a * b)), shape);
}

function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

function begin(session) {
  byId("simulated").hidden = !session.simulated.length;
  byId("simulated-what").textContent = session.simulated.join(" and ");
  if (session.simulated.length) document.title = "SIMULATED · " + document.title;
  byId("emotions").replaceChildren(...session.emotions.map((name, i) => {
    const line = element("li", "");
    const track = element("span", "track");
    const fill = element("span", "fill");
    fill.style.background = session.colours[i];
    track.append(fill);
    line.append(element("span", "name", name), track, element("span", "value", "–"));
    return line;
  }));
}

function show(second, row, session) {
  const shares = row.distribution.data;
  const answered = !Number.isNaN(shares[0]);
  if (answered) largest = Math.max(largest, ...shares);
  const scale = SCALES.find((scale) => largest <= scale) ?? 1;
  byId("half").textContent = 50 * scale;
  byId("full").textContent = 100 * scale + " %";
  [...byId("emotions").children].forEach((line, i) => {
    line.querySelector(".fill").style.width = answered ? (100 * shares[i]) / scale + "%" : "0";
    line.querySelector(".value").textContent = answered ? (100 * shares[i]).toFixed(1) + " %" : "–";
  });
  byId("when").textContent = `Second ${second} of a session of ${session.seconds.length} s` + (answered ? "" : ": no answer");
  byId("quality").textContent = "Quality: " + session.modalities.map((name, i) =>
    `${NAMES[name] ?? name} ${row.valid.data[i] ? row.quality.data[i].toFixed(2) : "not valid"}`).join(" · ");
}

// One second's samples and the states; null is a sample that is missing.
function feedsOf(samples, inputs, states) {
  const feeds = { ...states };
  for (const input of inputs) {
    if (input.name in states) continue;
    const tensor = (feeds[input.name] = zeros(input));
    const given = samples[input.name] ?? [];
    if (given.length !== tensor.size) throw new Error(`seconds.json is of another model: ${input.name} does not fit`);
    tensor.data.set(given.map((sample) => sample ?? NaN));
  }
  return feeds;
}

async function load(path) {
  const answer = await fetch(path);
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${answer.statusText}`);
  return answer.json();
}

async function replay() {
  ort.env.wasm.numThreads = 1;  // a second one costs more than it gives, and needs the server's leave
  const model = await ort.InferenceSession.create("model.raw.onnx");
  const session = await load("seconds.json");
  const inputs = model.inputMetadata;
  const states = {};
  for (const input of inputs) if (input.name.startsWith("state_")) states[input.name] = zeros(input);
  begin(session);
  let due = performance.now();
  for (const [second, samples] of session.seconds.entries()) {
    const feeds = feedsOf(samples, inputs, states);
    const started = performance.now();
    const row = await model.run(feeds);
    byId("state").textContent = `This second took ${(performance.now() - started).toFixed(1)} ms`;
    for (const name in states) states[name] = row[name.replace("state_", "next_")];
    show(second, row, session);
    rows.push({ second, distribution: [...row.distribution.data], valid: [...row.valid.data] });
    due += SECOND_MS;
    await new Promise((resume) => setTimeout(resume, due - performance.now()));
  }
  byId("state").textContent = "The session is over";
}

replay().catch((error) => {
  byId("state").textContent = "Stopped";
  byId("failed").textContent = error.message;
  byId("failed").hidden = false;
});
