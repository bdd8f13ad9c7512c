// The page: one face, what was done to it, and what can be done next. Runs last, after state.js and parts.js.

const LIMIT = 4; // of a direction's slider, either way, as in the latent browser
const STEPS = [-3, -2, -1, 0, 1, 2, 3]; // the neighbours
const SEEDS = 4294967296;
const FIRST = 27, SECOND = 31; // with both generators of the kit a face that looks at us, and another one
const BARS = { bar: "#7d8fa3", cut: "#b84300" };

const one = (selector) => document.querySelector(selector);

class LivePage {
  constructor(facts, painter) {
    Object.assign(this, { facts, painter, player: new Player(), lines: {}, rows: [], pixels: new Map() });
    this.vectors = Object.fromEntries(facts.directions.map(({ name, vector }) => [name, vector]));
    this.state = { base: sampleZ(FIRST), seed: FIRST, truncation: 1, amounts: {} };
    this.chosen = facts.directions[0].name;
    this.kept = [sampleZ(FIRST), sampleZ(SECOND)];
    this.buildSliders();
    this.buildNeighbours();
    this.listen();
    this.showKept();
    this.changed();
  }

  // What is on the page

  buildSliders() {
    const boxes = new Map();
    for (const direction of this.facts.directions) {
      const { name, group } = direction;
      if (!boxes.has(group)) boxes.set(group, this.groupBox(group));
      const onMove = (value) => { this.player.stop(); this.move(name, value); };
      this.lines[name] = directionLine(direction, LIMIT, onMove, () => this.choose(name));
      boxes.get(group).append(this.lines[name].node);
    }
  }

  /** Room for the sliders of a group on the page; those of a group that few will want are folded away. */
  groupBox(group) {
    const box = element("div", { class: "lines" });
    const set = element("fieldset", {}, element("legend", { text: group }), box);
    const folded = this.facts.folded.includes(group);
    one("#sliders").append(folded ? element("details", {}, element("summary", { text: group }), set) : set);
    return box;
  }

  buildNeighbours() {
    for (const amount of STEPS) {
      const canvas = element("canvas", { "data-least": 192, "aria-hidden": "true" });
      const go = () => { this.player.stop(); this.move(this.chosen, amount); };
      const button = element("button", { type: "button", class: "thumb", on: { click: go } }, canvas, element("span", { text: signed(amount) }));
      this.rows.push({ amount, canvas, button, z: "" });
      one("#neighbours").append(button);
    }
  }

  listen() {
    const on = (selector, kind, listener) => one(selector).addEventListener(kind, listener);
    on("#new", "click", () => this.newFace(Math.floor(Math.random() * 1_000_000)));
    on("#seed", "change", (event) => this.newFace(event.target.valueAsNumber));
    on("#reset", "click", () => this.reset());
    on("#truncation", "input", (event) => { this.player.stop(); this.state.truncation = event.target.valueAsNumber; this.changed(); });
    on("#squares", "change", () => this.redraw());
    on("#animate", "click", (event) => this.player.toggle(event.currentTarget, (this.state.amounts[this.chosen] ?? 0) / 3,
      (fraction) => this.move(this.chosen, 3 * fraction)));
    on("#morph", "input", (event) => { this.player.stop(); this.morph(event.target.valueAsNumber); });
    on("#play", "click", (event) => this.player.toggle(event.currentTarget, 2 * one("#morph").valueAsNumber - 1,
      (fraction) => this.morph((fraction + 1) / 2)));
    [0, 1].forEach((index) => on(`#keep-${index}`, "click", () => this.keep(index)));
    new ResizeObserver(() => this.showNumbers()).observe(one("#numbers"));
  }

  // What can be done

  move(name, value) {
    this.state.amounts[name] = value;
    this.choose(name);
    this.changed();
  }

  choose(name) {
    if (name === this.chosen) return;
    this.player.stop();
    this.chosen = name;
    this.showNeighbours();
  }

  newFace(seed) {
    if (!Number.isInteger(seed) || seed < 0 || seed >= SEEDS) { this.showState(); return; } // not a seed: as it was
    this.player.stop();
    this.replace(sampleZ(seed), seed);
  }

  reset() {
    this.player.stop();
    this.replace(this.state.base, this.state.seed);
  }

  /** The face of a z, with all sliders back. */
  replace(base, seed) {
    this.state = { base, seed, truncation: 1, amounts: {} };
    this.changed();
  }

  keep(index) {
    this.player.stop();
    this.kept[index] = latent(this.state, this.vectors);
    this.showKept();
  }

  morph(fraction) {
    one("#morph").value = fraction;
    this.replace(onTheArc(...this.kept, fraction), null);
  }

  // What is seen

  changed() {
    this.z = latent(this.state, this.vectors);
    this.ask("face", one("#face"), this.z);
    this.showState();
    this.showNumbers();
    this.showNeighbours();
  }

  ask(key, canvas, z) {
    this.painter.ask(key, z, (pixels) => {
      this.pixels.set(canvas, pixels);
      enlarge(canvas, pixels, this.facts.size, one("#squares").checked);
      canvas.dispatchEvent(new CustomEvent("drawn"));
    });
  }

  redraw() {
    for (const [canvas, pixels] of this.pixels) enlarge(canvas, pixels, this.facts.size, one("#squares").checked);
  }

  showState() {
    const { seed, truncation, amounts } = this.state;
    for (const [name, line] of Object.entries(this.lines)) line.set(amounts[name] ?? 0);
    one("#seed").value = seed ?? "";
    one("#truncation").value = truncation;
    fill(one("#truncation"), 0);
    fill(one("#morph"), 0);
    one("#truncation-value").textContent = truncation.toFixed(2);
    one("#morph-value").textContent = seed === null ? `${Math.round(100 * one("#morph").valueAsNumber)} %` : "–";
    one("#face").setAttribute("aria-label", seed === null ? "Generated face, between A and B" : `Generated face of seed ${seed}`);
  }

  showNumbers() {
    const count = drawBars(one("#numbers"), this.z, BARS);
    one("#cut").textContent = `${count} of ${this.z.length} are cut at −1 or 1`;
  }

  showNeighbours() {
    one("#along").textContent = this.chosen;
    const amounts = { ...this.state.amounts }, now = amounts[this.chosen] ?? 0;
    for (const row of this.rows) {
      const z = latent({ ...this.state, amounts: { ...amounts, [this.chosen]: row.amount } }, this.vectors), key = z.join();
      row.button.setAttribute("aria-label", `${this.chosen} at ${signed(row.amount)}`);
      row.button.setAttribute("aria-pressed", String(Math.abs(now - row.amount) < 0.05));
      if (key !== row.z) this.ask(`neighbour ${row.amount}`, row.canvas, z); // along its own slider nothing changes
      row.z = key;
    }
  }

  showKept() {
    this.kept.forEach((z, index) => this.ask(`kept ${index}`, one(`#kept-${index}`), z));
  }
}

/** Said on the page, where a visitor looks: a damaged file, or a browser that lacks something. */
function complain({ message }) {
  one("#problem").textContent = `The faces cannot be drawn here: ${message}`;
}

function start() {
  const facts = JSON.parse(one("#facts").textContent);
  const onRest = (rests) => { document.body.dataset.rest = rests; };
  const painter = new Painter(one("#network").textContent, facts.net, one("#weights").textContent, onRest);
  painter.worker.onerror = complain;
  const page = new LivePage(facts, painter);
  let asked = 0;
  // For tests and for the console: the pixels of any z, and what is shown.
  window.affkit = {
    draw: (z) => new Promise((resolve) => painter.ask(`asked ${asked++}`, z, (pixels) => resolve([...pixels]))),
    z: () => [...page.z],
  };
}

window.addEventListener("error", complain);
start();
