// Part 5 of the latent browser: the browser itself. latent_browser.py puts the parts together and answers.

const ALIVE_MS = 2000; // how often we ask whether the kernel lives and whether another page changed something
const BUSY_MS = 10_000;
const READ_EVERY_MS = 400; // predictions while a slider is dragged; when it rests they come at once
const GONE = "not connected: the kernel does not answer; favourites are kept in their file";
const SETS = { prediction: "predictions", pca: "principal", z: "numbers of z" };

/** Sends one change at a time. Of several that wait with the same key only the newest is sent: no slider lags. */
class Newest {
  constructor(link, root, onAnswer, onRest) {
    root.setAttribute("aria-busy", "false");
    Object.assign(this, { link, root, onAnswer, onRest, waiting: new Map(), running: false });
  }

  put(key, message, time) {
    this.waiting.set(key, { message, time });
    this.run();
  }

  async run() {
    if (this.running) return;
    this.running = true;
    this.root.setAttribute("aria-busy", "true");
    try {
      while (this.waiting.size) {
        const [[key, { message, time }]] = this.waiting;
        this.waiting.delete(key);
        const { reply, buffers } = await this.link.ask(message);
        this.onAnswer(reply, buffers, time);
        await this.onRest(!this.waiting.size);
      }
    } catch { this.waiting.clear(); /* nobody answered, and the link has said so */ }
    this.running = false;
    this.root.setAttribute("aria-busy", "false");
  }
}

class Browser {
  constructor(link, root, { facts, state }, buffers) {
    Object.assign(this, { link, root, facts, state, set: "prediction", count: 0, lastRead: 0, onceOnly: 0 });
    this.newest = new Newest(link, root, (...answer) => this.answered(...answer), (rests) => this.readAgain(rests));
    const seek = ([valence, arousal], time) => this.change("seek", { kind: "seek", valence, arousal }, time);
    this.plane = new Plane(seek);
    this.plane.onPoint = seek;
    this.parts = layOut(root, facts, this.actions());
    this.lines = new Map();
    this.buildSets();
    this.panels = new Panels(this);
    this.answered({ state }, buffers, performance.now());
    this.readAgain(true);
  }

  actions() {
    const once = (kind) => (event) => this.change(`${kind} ${this.onceOnly++}`, { kind }, event?.timeStamp);
    return {
      plane: this.plane,
      undo: once("undo"), redo: once("redo"), reset: once("reset"),
      random: () => this.newFace(Math.floor(Math.random() * 1_000_000)),
      seed: () => this.newFace(this.parts.seed.valueAsNumber),
      truncation: (value, time) => this.change("truncation", { kind: "truncation", value }, time),
      keep: () => this.keep(),
      tab: (name) => this.panels.open(name),
      help: () => this.toggleHelp(),
    };
  }

  newFace(seed) {
    if (!Number.isInteger(seed) || seed < 0 || seed > 4294967295) { this.say("a seed is a whole number, from 0 to 4294967295", true); return; }
    this.plane.wanted = this.plane.paths = null;
    this.change("new", { kind: "new", seed });
  }

  keep() {
    const name = this.parts.name.value.trim();
    if (!name) { this.parts.name.focus(); this.say("give the face a name, then keep it"); return; }
    this.panels.open("favourites");
    this.panels.keep(name);
  }

  change(key, message, time = performance.now()) { this.newest.put(key, message, time); }

  buildSets() {
    const has = { prediction: false, pca: false, z: true };
    for (const { kind } of this.facts.directions) has[kind] = true;
    this.set = has.prediction ? "prediction" : "pca";
    this.parts.sets.replaceChildren(...Object.entries(SETS).filter(([kind]) => has[kind]).map(([kind, text]) =>
      element("button", { type: "button", role: "tab", text, "data-set": kind, on: { click: () => this.showSet(kind) } })));
    this.showSet(this.set);
  }

  showSet(kind) {
    this.set = kind;
    for (const button of this.parts.sets.children) button.setAttribute("aria-selected", String(button.dataset.set === kind));
    this.lines.clear();
    const settle = () => this.change("finish", { kind: "finish" });
    if (kind === "z") {
      for (let index = 0; index < this.state.z.length; index++) {
        this.lines.set(index, sliderLine(`z ${index + 1}`, { min: -1, max: 1, step: 0.05, value: 0, show: (v) => v.toFixed(2) },
          (value, time) => this.change(`z ${index}`, { kind: "number", index, value }, time), settle));
      }
    }
    for (const direction of this.facts.directions.filter((one) => one.kind === kind)) {
      const { name } = direction;
      this.lines.set(name, directionLine(direction, this.facts.limit, {
        onMove: (value, time) => this.change(`move ${name}`, { kind: "move", name, value }, time),
        onLet: settle,
        onLock: () => this.toggleLock(name),
        onFilm: () => this.panels.along(name),
      }));
    }
    this.parts.sliders.replaceChildren(...[...this.lines.values()].map(({ node }) => node));
    this.refresh();
  }

  toggleLock(name) {
    const kind = name in this.state.locks ? "unlock" : "lock";
    this.change(`lock ${this.onceOnly++}`, { kind, name });
  }

  answered(reply, buffers, time) {
    this.say(reply.error ?? "", Boolean(reply.error));
    if (!reply.state) return;
    this.state = reply.state;
    paint(this.parts.face, asBytes(buffers[0]), this.facts.size);
    this.refresh();
    this.count += 1;
    requestAnimationFrame(() => { // the pixels are there with this frame
      this.root.dataset.shown = this.count;
      this.root.dispatchEvent(new CustomEvent("afl-drawn", { detail: { ms: performance.now() - time, count: this.count } }));
    });
  }

  refresh() {
    const { state, parts } = this;
    if (!parts) return;
    for (const [name, { node, range, set, lock }] of this.lines) {
      const ahead = this.newest.waiting.has(typeof name === "number" ? `z ${name}` : `move ${name}`);
      if (typeof name === "number") { if (!ahead) set(state.z[name]); continue; }
      const locked = name in state.locks, still = state.still.includes(name);
      if (!ahead) set(state.sliders[name] ?? 0); // else the slider is further than this answer
      range.disabled = locked;
      lock.setAttribute("aria-pressed", String(locked));
      lock.textContent = locked ? "locked" : "lock";
      node.classList.toggle("afl-still", still); // next to nothing of it is left beside what is locked
    }
    if (!this.newest.waiting.has("truncation")) parts.truncation.set(state.truncation);
    if (document.activeElement !== parts.seed) parts.seed.value = state.seed ?? "";
    parts.buttons.undo.disabled = !state.can_undo;
    parts.buttons.redo.disabled = !state.can_redo;
  }

  /** What the networks say of the face; while a slider is dragged, only now and then. */
  async readAgain(rests) {
    const now = performance.now();
    if (!rests && now - this.lastRead < READ_EVERY_MS) return;
    this.lastRead = now;
    const { reply } = await this.link.ask({ kind: "read" }, { wait: BUSY_MS });
    if (!reply.predictions) return;
    fillPredictions(this.parts.predictions, reply.predictions);
    const all = new Map(Object.values(reply.predictions).reverse().flat());
    this.plane.read = all.has("valence") ? [all.get("valence"), all.get("arousal")] : null;
    this.plane.draw();
    this.root.dataset.read = this.count;
    if (rests) this.panels.changed();
  }

  say(text, isError = false) {
    this.parts.message.textContent = text;
    this.parts.message.classList.toggle("afl-error", isError);
  }

  toggleHelp() {
    const { help } = this.parts;
    help.hidden = !help.hidden;
    (help.hidden ? this.root : help.querySelector("button")).focus({ preventScroll: true });
  }

  connected(yes) { this.parts.offline.hidden = yes; }

  /** A key that is ours; returns whether it was. */
  key(name, target, event) {
    const line = target.dataset.name;
    const arrow = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, 1], arrowdown: [0, -1] }[name];
    if (target === this.plane.canvas && arrow) this.plane.step(...arrow, this.plane.onPoint, event.timeStamp);
    else if (name === "l" && this.lines.get(line)?.lock) this.toggleLock(line);
    else if (name === "p" && this.lines.get(line)?.lock) this.panels.along(line);
    else if (name === "escape" && !this.parts.help.hidden) this.toggleHelp();
    else if (name === "n") this.actions().random();
    else if (name === "k") this.keep();
    else if (name === "r") this.actions().reset(event);
    else if (name === "ctrl+z") this.actions().undo(event);
    else if (name === "ctrl+y" || name === "ctrl+shift+z") this.actions().redo(event);
    else if (name === "?" || name === "shift+?") this.toggleHelp();
    else return false;
    return true;
  }
}

/** Keys belong to the browser while the focus is in it. Jupyter listens at the document, so we listen before it. */
function keyListener(root, browser) {
  return (event) => {
    const target = event.composedPath()[0];
    if (!root.contains(target)) return;
    const ctrl = event.ctrlKey || event.metaKey, writing = target.matches("select, input:not([type=range], [type=checkbox])");
    if (writing) { // letters are text here
      if (event.key === "Escape") root.focus({ preventScroll: true });
      if (!ctrl) event.stopImmediatePropagation();
      return;
    }
    const name = (ctrl ? "ctrl+" : "") + (event.shiftKey ? "shift+" : "") + event.key.toLowerCase();
    if (!event.altKey && browser.key(name, target, event)) event.preventDefault();
    else if (ctrl || event.altKey) return;
    event.stopImmediatePropagation();
  };
}

async function opened(link, signal) {
  while (!signal.aborted) {
    try {
      return await link.ask({ kind: "open" }, { wait: BUSY_MS });
    } catch { /* the kernel is busy or gone, and the link has said so: ask again */ }
  }
  return null;
}

/** Ask now and then whether another page changed something, and whether the kernel still answers. */
function keepAsking(link, browser, root) {
  let asking = false;
  return setInterval(async () => {
    if (document.hidden || !root.isConnected || asking || browser.newest.running) return;
    asking = true;
    try {
      const { reply, buffers } = await link.ask({ kind: "poll", revision: browser.state.revision });
      if (reply.state && !browser.newest.running) { browser.answered(reply, buffers, performance.now()); await browser.readAgain(true); }
    } catch { /* nobody answered, and the link has said so */ }
    asking = false;
  }, ALIVE_MS);
}

function render({ model, el }) {
  const root = element("div", { class: "afl", text: "opening…", tabindex: "0", role: "application", "aria-label": "Latent browser; ? shows its keys" });
  el.append(root);
  const ending = new AbortController();
  let browser = null, timer = null;
  const onConnected = (yes) => {
    if (browser) browser.connected(yes);
    else if (!yes) root.textContent = GONE;
  };
  const link = new Link(model, onConnected, () => {});
  opened(link, ending.signal).then((answer) => {
    if (!answer) return;
    if (answer.reply.error) { root.textContent = answer.reply.error; return; }
    browser = new Browser(link, root, answer.reply, answer.buffers);
    window.addEventListener("keydown", keyListener(root, browser), { capture: true, signal: ending.signal });
    timer = keepAsking(link, browser, root);
  });
  return () => {
    ending.abort();
    clearInterval(timer);
    browser?.panels.film.pause();
    clearTimeout(browser?.panels.later);
    link.close();
  };
}

export default { render };
