// Part 2 of the latent browser: what is drawn. Faces come as raw bytes, red, green, blue, row by row.

const PLANE = { left: 34, right: 12, top: 12, bottom: 30 }; // margins in pixels

/** Paint picture number `index` of `bytes` into a canvas; it is `size` pixels wide and high. */
function paint(canvas, bytes, size, index = 0) {
  const start = index * size * size * 3, pixels = new Uint8ClampedArray(size * size * 4).fill(255);
  for (let i = 0, from = start; i < pixels.length; i += 4, from += 3) {
    pixels[i] = bytes[from];
    pixels[i + 1] = bytes[from + 1];
    pixels[i + 2] = bytes[from + 2];
  }
  if (canvas.width !== size) canvas.width = canvas.height = size;
  canvas.getContext("2d").putImageData(new ImageData(pixels, size, size), 0, 0);
}

function painted(bytes, size, index, label) {
  const canvas = element("canvas", { role: "img", "aria-label": label });
  paint(canvas, bytes, size, index);
  return canvas;
}

const asBytes = (view) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

/** The valence-arousal plane: a circle where the face is read to be, a cross where it was sent, paths of clips. */
class Plane {
  constructor(onPoint) {
    this.read = this.wanted = null; // [valence, arousal]
    this.paths = null; // {wanted, read}, lists of such pairs
    this.canvas = element("canvas", {
      class: "afl-plane", tabindex: "0", role: "application",
      "aria-label": "Valence and arousal plane: click, drag, or use the arrow keys",
    });
    let dragging = false;
    const send = (event) => { this.point(...this.valuesAt(event)); onPoint(this.wanted, event.timeStamp); };
    this.canvas.addEventListener("pointerdown", (event) => {
      dragging = true;
      this.canvas.setPointerCapture(event.pointerId);
      send(event);
    });
    this.canvas.addEventListener("pointermove", (event) => { if (dragging) send(event); });
    this.canvas.addEventListener("pointerup", () => { dragging = false; });
  }

  /** An arrow key: five hundredths. */
  step(across, up, onPoint, time) {
    const [valence, arousal] = this.wanted ?? this.read ?? [0, 0];
    this.point(valence + 0.05 * across, arousal + 0.05 * up);
    onPoint(this.wanted, time);
  }

  point(valence, arousal) {
    const rounded = (value) => Math.round(clamp(value, -1, 1) * 100) / 100;
    this.wanted = [rounded(valence), rounded(arousal)];
    this.draw();
  }

  valuesAt(event) {
    const box = this.canvas.getBoundingClientRect();
    const x = (event.clientX - box.left - PLANE.left) / (box.width - PLANE.left - PLANE.right);
    const y = (event.clientY - box.top - PLANE.top) / (box.height - PLANE.top - PLANE.bottom);
    return [2 * x - 1, 1 - 2 * y];
  }

  draw() {
    const ratio = window.devicePixelRatio || 1, width = 322, height = 250;
    this.canvas.width = width * ratio;
    this.canvas.height = height * ratio;
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    const across = width - PLANE.left - PLANE.right, down = height - PLANE.top - PLANE.bottom;
    const x = (valence) => PLANE.left + (valence + 1) / 2 * across;
    const y = (arousal) => PLANE.top + (1 - arousal) / 2 * down;
    this.axes(pen, x, y);
    if (this.paths) {
      this.curve(pen, this.paths.wanted, x, y, "#9aa5b1", [4, 3]);
      this.curve(pen, this.paths.read, x, y, "#0b62b8", []);
    }
    if (this.wanted) this.cross(pen, x(this.wanted[0]), y(this.wanted[1]));
    if (this.read) this.circle(pen, x(this.read[0]), y(this.read[1]));
  }

  axes(pen, x, y) {
    pen.font = "11px system-ui, sans-serif";
    pen.fillStyle = "#5f6b7a";
    for (const value of [-1, -0.5, 0, 0.5, 1]) {
      pen.strokeStyle = value ? "#e6eaee" : "#9aa5b1";
      pen.beginPath();
      pen.moveTo(x(value), y(-1)); pen.lineTo(x(value), y(1));
      pen.moveTo(x(-1), y(value)); pen.lineTo(x(1), y(value));
      pen.stroke();
      pen.textAlign = "center"; pen.fillText(value, x(value), y(-1) + 13);
      pen.textAlign = "right"; pen.fillText(value, x(-1) - 5, y(value) + 4);
    }
    pen.textAlign = "center";
    pen.fillText("valence", x(0), y(-1) + 26);
    pen.save();
    pen.translate(9, y(0));
    pen.rotate(-Math.PI / 2);
    pen.fillText("arousal", 0, 0);
    pen.restore();
  }

  curve(pen, points, x, y, color, dash) {
    pen.strokeStyle = color;
    pen.setLineDash(dash);
    pen.beginPath();
    points.forEach(([valence, arousal], number) => pen[number ? "lineTo" : "moveTo"](x(valence), y(arousal)));
    pen.stroke();
    pen.setLineDash([]);
  }

  cross(pen, x, y) {
    pen.strokeStyle = "#b84300";
    pen.lineWidth = 2;
    pen.beginPath();
    pen.moveTo(x - 7, y); pen.lineTo(x + 7, y); pen.moveTo(x, y - 7); pen.lineTo(x, y + 7);
    pen.stroke();
  }

  circle(pen, x, y) {
    pen.fillStyle = "#0b62b8";
    pen.strokeStyle = "#fff";
    pen.lineWidth = 2;
    pen.beginPath();
    pen.arc(x, y, 6, 0, 2 * Math.PI);
    pen.fill();
    pen.stroke();
  }
}

/** Pictures that play, back and forth, and a strip of some of them. */
class Film {
  constructor() {
    this.canvas = element("canvas", { role: "img", "aria-label": "The film" });
    this.strip = block("afl-strip");
    this.button = element("button", { type: "button", text: "❚❚", title: "Play or pause the film", on: { click: () => this.toggle() } });
    this.frames = null;
    this.timer = null;
  }

  show(bytes, size, count, { loop = "there and back", fps = 20 } = {}) {
    Object.assign(this, { frames: bytes, size, count, loop, fps, at: 0, way: 1 });
    const chosen = [...new Set([...Array(12).keys()].map((i) => Math.round(i * (count - 1) / 11)))];
    this.strip.replaceChildren(...chosen.map((number) => painted(bytes, size, number, `picture ${number + 1} of ${count}`)));
    this.play();
  }

  play() {
    this.pause();
    this.button.textContent = "❚❚";
    this.timer = setInterval(() => this.next(), 1000 / this.fps);
    this.next();
  }

  next() {
    if (!this.canvas.isConnected) { this.pause(); return; }
    paint(this.canvas, this.frames, this.size, this.at);
    if (this.loop === "round") this.at = (this.at + 1) % this.count;
    else {
      if (this.at + this.way < 0 || this.at + this.way >= this.count) this.way = -this.way;
      this.at += this.way;
    }
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.button.textContent = "▶";
  }

  toggle() {
    if (this.timer) this.pause();
    else if (this.frames) this.play();
  }
}
