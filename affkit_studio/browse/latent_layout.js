// Part 3 of the latent browser: its elements. What they do is said in parts 4 and 5.

const ACTIONS = {
  random: ["new face", "A random new face (N)"],
  undo: ["undo", "Undo (Ctrl+Z)"],
  redo: ["redo", "Redo (Ctrl+Y)"],
  reset: ["reset", "The face of the seed, all sliders back, nothing locked (R)"],
  help: ["? keys", "Keys (?)"],
};

const TABS = {
  neighbours: "Neighbours", favourites: "Favourites", film: "Film", training: "Training faces",
  photo: "A photograph", clip: "A clip", leaks: "Leaks",
};

const KEY_HELP = [
  ["N", "a new face"],
  ["R", "reset"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo"],
  ["← →, Page, Home, End", "move the slider that has the focus; in the plane, a step of 0.05"],
  ["L", "lock or unlock the slider that has the focus"],
  ["P", "play a film along the slider that has the focus"],
  ["K", "keep this face"],
  ["Tab", "to the next control"],
  ["?", "this card"],
];

const signed = (value) => (value > 0 ? "+" : "") + value.toFixed(1);

/** A slider with its name and its value. `onMove(value, time)` while it moves, `onLet()` when it is let go. */
function sliderLine(name, { title = "", hint = "", min, max, step, value, show = signed, more = [] }, onMove, onLet = () => {}) {
  const label = element("label", { title: [name, title, hint].filter(Boolean).join(": ") }, name, " ", element("span", { text: title }));
  const range = element("input", { type: "range", min, max, step, value, "aria-label": [name, title].filter(Boolean).join(", ") });
  const output = element("output", { text: show(Number(value)) });
  range.addEventListener("input", (event) => { output.textContent = show(range.valueAsNumber); onMove(range.valueAsNumber, event.timeStamp); });
  range.addEventListener("change", onLet);
  range.dataset.name = name;
  const node = block("afl-line", label, range, output, ...more);
  const set = (now) => { // not while somebody holds it: what is under a finger must not jump
    if (range.matches(":active")) return;
    range.value = now;
    output.textContent = show(Number(now));
  };
  return { node, range, set };
}

/** A direction: slider, lock, film. */
function directionLine(direction, limit, { onMove, onLet, onLock, onFilm }) {
  const { name, title, measured } = direction;
  const lock = element("button", { type: "button", text: "lock", title: `Lock ${name}: keep it as it is (L)`, on: { click: onLock } });
  const film = element("button", { type: "button", text: "▶", title: `Film along ${name} (P)`, on: { click: onFilm } });
  const line = sliderLine(name, { title, hint: measured, min: -limit, max: limit, step: 0.1, value: 0, more: [lock, film] }, onMove, onLet);
  return { ...line, lock };
}

/** All elements of the browser, put into its root; returns those that change. */
function layOut(root, facts, actions) {
  const parts = { buttons: {}, tabs: {}, panels: {} };
  const button = (name) => {
    const [text, title] = ACTIONS[name];
    return (parts.buttons[name] = element("button", { type: "button", text, title, on: { click: () => actions[name]() } }));
  };
  parts.seed = element("input", { type: "number", min: "0", max: "4294967295", step: "1", value: "0", title: "Seed of the face" });
  parts.seed.addEventListener("change", () => actions.seed());
  parts.face = element("canvas", { class: "afl-face", role: "img", "aria-label": "The generated face" });
  parts.truncation = sliderLine("truncation", { hint: "draws z towards 0, where faces are more alike", min: 0, max: 1, step: 0.05, value: 1, show: (v) => v.toFixed(2) },
    (value, time) => actions.truncation(value, time));
  parts.name = element("input", { type: "text", maxlength: "60", placeholder: "name of this face", title: "Name of a favourite" });
  const keep = element("button", { type: "button", text: "keep", title: "Keep this face under this name (K)", on: { click: () => actions.keep() } });
  parts.sets = element("div", { class: "afl-group", role: "tablist", "aria-label": "Which sliders" });
  parts.sliders = block("afl-sliders");
  parts.predictions = element("table", { class: "afl-predictions" });
  parts.message = element("div", { class: "afl-message", role: "status" });
  parts.offline = element("div", { class: "afl-message afl-error", role: "alert", text: GONE });
  parts.offline.hidden = true;
  parts.help = helpOver(() => actions.help());
  const tabs = Object.entries(TABS).map(([name, text]) => (parts.tabs[name] =
    element("button", { type: "button", role: "tab", text, "aria-selected": "false", on: { click: () => actions.tab(name) } })));
  for (const name of Object.keys(TABS)) parts.panels[name] = element("div", { class: "afl-panel", role: "tabpanel", "aria-label": TABS[name] });
  root.replaceChildren(
    block("afl-row afl-head",
      element("b", { text: "Latent browser" }), element("span", { class: "afl-faint", text: `${facts.size} × ${facts.size} pixels` }),
      block("afl-group", element("span", { text: "seed" }), parts.seed, button("random")),
      block("afl-group afl-right", ...["undo", "redo", "reset", "help"].map(button))),
    block("afl-top",
      block("afl-left", block("afl-stage", parts.face), parts.truncation.node, block("afl-row", parts.name, keep),
        block("afl-said", parts.message, parts.offline)),
      block("afl-middle", parts.sets, parts.sliders),
      block("afl-aside", facts.seeks ? actions.plane.canvas : "", parts.predictions)),
    element("div", { class: "afl-tabs", role: "tablist", "aria-label": "More" }, ...tabs),
    ...Object.values(parts.panels),
    parts.help,
  );
  return parts;
}

function helpOver(onClose) {
  const rows = KEY_HELP.map(([keys, text]) => block("", element("kbd", { text: keys }), element("span", { text })));
  const close = element("button", { type: "button", text: "close", title: "Close (Esc)", on: { click: onClose } });
  const node = element("div", { class: "afl-overlay", role: "dialog", "aria-label": "Keys" },
    block("afl-card", element("b", { text: "Keys" }), block("afl-keys", ...rows), close));
  node.hidden = true;
  return node;
}

/** What the networks read: a row a prediction, a column a network. */
function fillPredictions(table, predictions) {
  const predictors = Object.keys(predictions), keys = new Set(predictors.flatMap((name) => predictions[name].map(([key]) => key)));
  const first = ["valence", "arousal"].filter((key) => keys.has(key)), rows = [...new Set([...first, ...keys])];
  const head = element("tr", {}, element("th", {}), ...predictors.map((name) => element("th", { scope: "col", text: name, title: name })));
  const body = rows.map((key) => element("tr", {}, element("th", { scope: "row", text: key }), ...predictors.map((name) => {
    const found = predictions[name].find(([own]) => own === key);
    return element("td", {}, ...(found ? [predictionCell(key, found[1])] : []));
  })));
  table.replaceChildren(element("thead", {}, head), element("tbody", {}, ...body));
}

function predictionCell(key, value) {
  const about0 = key === "valence" || key === "arousal";
  const bar = element("i"), fraction = about0 ? Math.abs(value) / 2 : value;
  bar.style.left = `${100 * (about0 ? 0.5 + Math.min(value, 0) / 2 : 0)}%`;
  bar.style.width = `${100 * fraction}%`;
  return block("afl-cell", element("span", { text: about0 ? value.toFixed(2) : `${Math.round(100 * value)}%` }), element("div", { class: "afl-bar" }, bar));
}
