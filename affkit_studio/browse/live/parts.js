// Parts of the page: who asks the worker for faces, how a face is enlarged, a slider with its name, a player.

/** Asks the worker for one face at a time. Of several with the same key that wait only the newest is drawn. */
class Painter {
  constructor(source, net, base64, onRest) {
    this.worker = new Worker(URL.createObjectURL(new Blob([source], { type: "text/javascript" })));
    this.worker.postMessage({ net, base64 });
    this.worker.onmessage = ({ data }) => {
      const { show } = this.running;
      this.running = null;
      show(data.pixels);
      this.next();
    };
    Object.assign(this, { waiting: new Map(), running: null, onRest });
  }

  /** `show` gets the pixels of the face of `z`, unless a newer z for `key` came before its turn. */
  ask(key, z, show) {
    this.waiting.set(key, { z, show });
    this.onRest(false);
    this.next();
  }

  /** The large face first: the small ones can wait until the slider rests. */
  next() {
    if (this.running) return;
    const key = this.waiting.has("face") ? "face" : this.waiting.keys().next().value;
    this.onRest(key === undefined);
    if (key === undefined) return;
    this.running = this.waiting.get(key);
    this.waiting.delete(key);
    this.worker.postMessage({ z: this.running.z });
  }
}

/**
 * Draw pixels into a canvas that is several times as large. Smooth, because 32 pixels drawn as squares hide the
 * face behind their edges; as squares, if somebody wants to see what there is and no more.
 */
function enlarge(canvas, pixels, size, asSquares) {
  const small = new OffscreenCanvas(size, size), times = Math.ceil(Number(canvas.dataset.least) / size);
  small.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
  if (canvas.width !== size * times) canvas.width = canvas.height = size * times;
  const pen = canvas.getContext("2d");
  pen.imageSmoothingEnabled = !asSquares;
  pen.imageSmoothingQuality = "high";
  pen.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** A new element: `text` only ever becomes text, `on` are listeners, all else are attributes. */
function element(tag, { text, on = {}, ...attributes } = {}, ...children) {
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) node.addEventListener(name, listener);
  node.append(...children);
  return node;
}

const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "") + Math.abs(value).toFixed(1);

/** Colour a slider from its resting place to where it is. */
function fill(range, rest) {
  const fraction = (value) => (value - range.min) / (range.max - range.min);
  const ends = [fraction(rest), fraction(range.valueAsNumber)];
  range.style.setProperty("--low", Math.min(...ends));
  range.style.setProperty("--high", Math.max(...ends));
}

let lines = 0;

/** The slider of a direction; `onMove(value)` when somebody moved it, `onChoose()` when it gets the focus. */
function directionLine({ name, title, note }, limit, onMove, onChoose) {
  const id = `direction-${++lines}`, output = element("output", { for: id, text: "0.0" });
  const range = element("input", { id, type: "range", min: -limit, max: limit, step: 0.1, value: 0, "data-name": name });
  if (note) { range.title = note; range.setAttribute("aria-description", note); }
  const set = (value) => { range.value = value; fill(range, 0); output.textContent = signed(range.valueAsNumber); };
  const moved = () => { set(range.valueAsNumber); onMove(range.valueAsNumber); };
  range.addEventListener("input", moved);
  range.addEventListener("focus", onChoose);
  const back = () => { set(0); moved(); };
  range.addEventListener("dblclick", back);
  range.addEventListener("keydown", (event) => { if (event.key === "0") back(); });
  const label = element("label", { for: id }, element("b", { text: name }), " ", element("span", { text: title }));
  return { node: element("div", { class: "line" }, label, output, range), set };
}

/** Moves one thing at a time to and fro, until it is stopped: `step(fraction)` with -1 to 1, from `fraction` on. */
class Player {
  constructor() { this.button = null; }

  toggle(button, fraction, step) {
    const same = this.button === button;
    this.stop();
    if (same) return;
    this.button = button;
    button.setAttribute("aria-pressed", "true");
    const start = performance.now(), phase = Math.asin(clip(fraction));
    const turn = (now) => {
      if (this.button !== button) return;
      step(Math.sin(phase + Math.max(0, now - start) / 1000)); // there and back in 2 pi seconds
      this.frame = requestAnimationFrame(turn);
    };
    this.frame = requestAnimationFrame(turn);
  }

  stop() {
    cancelAnimationFrame(this.frame);
    this.button?.setAttribute("aria-pressed", "false");
    this.button = null;
  }
}

/** The numbers of z as bars around 0; those that were cut at -1 or 1 in another colour. Returns how many. */
function drawBars(canvas, z, colours) {
  const ratio = window.devicePixelRatio || 1, width = Math.round(canvas.clientWidth * ratio);
  const height = Math.round(canvas.clientHeight * ratio), middle = height / 2, pen = canvas.getContext("2d");
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  pen.clearRect(0, 0, width, height);
  const at = (n) => Math.round(n * width / z.length);
  z.forEach((value, n) => {
    pen.fillStyle = Math.abs(value) === 1 ? colours.cut : colours.bar;
    pen.fillRect(at(n), middle, Math.max(1, at(n + 1) - at(n) - ratio), -value * (middle - 1) || 1);
  });
  return z.filter((value) => Math.abs(value) === 1).length;
}
