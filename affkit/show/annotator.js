// The page of the annotation tool. Python answers its messages (annotator.py); nothing else is asked or fetched.
// Frames are 0-based and ranges half open, as in Python; what people read is 1-based and inclusive.
// What users wrote (names, comments, messages) only ever becomes text, never HTML.

const ANSWER_MS = 3000; // a kernel that says nothing for so long is taken for gone, until it answers
const POLL_MS = 2000;
const ASK_AGAIN_MS = 10000;
const SPEEDS = [0.25, 0.5, 1, 1.5, 2];
const NOT_CONNECTED = "not connected: your last saved change is kept";
// Heights and the left margin of the time line in pixels.
const GUTTER = 104, RULER = 20, TRACES = 60, LANE = 22, SCROLL = 14;
const INK = "#1f2933", FAINT = "#7b8794", GRID = "#e4e7eb", ACCENT = "#0b62b8", TINT = "#e6f0fa", OTHER = "#9aa5b1";
const WARM = "#b84300";

// Key, as KeyboardEvent.key in lower case, to the name of an action; "shift+" and "ctrl+" in front.
const KEYS = {
  " ": "play", "arrowright": "forward", "arrowleft": "back", "shift+arrowright": "forward10",
  "shift+arrowleft": "back10", "home": "first", "end": "last", "n": "next", "p": "previous",
  "[": "slower", "]": "faster", "l": "loop", "i": "in", "o": "out", "escape": "release",
  "arrowdown": "laneDown", "arrowup": "laneUp", "m": "mark", "x": "clear", "delete": "clear",
  "ctrl+z": "undo", "ctrl+shift+z": "redo", "ctrl+y": "redo", "v": "others", "r": "review", "a": "accept",
  "c": "change", "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", "0": "zoomAll", "?": "help", "shift+?": "help",
  "shift++": "zoomIn",
};
const HELP = [
  ["Space", "play or pause"], ["← →", "one frame; with Shift ten"], ["Home, End", "first, last frame"],
  ["N, P", "next, previous start of a segment"], ["[ ]", "slower, faster"], ["L", "loop the range"],
  ["I, O", "range starts, ends at this frame"], ["Esc", "let go of the range"], ["1 … 8, ↑ ↓", "choose the lane"],
  ["M", "mark the range, or this frame"], ["X, Delete", "clear the range, or this frame"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo"], ["V", "show other annotators"], ["+ − 0", "zoom in, out, all"],
  ["R", "second pass: review on or off"], ["A", "accept the segment under review"],
  ["C", "it needs a change"], ["?", "this card"],
];

function element(tag, options = {}, ...children) {
  const { text, title, on = {}, ...attributes } = options;
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (title) { node.title = title; node.setAttribute("aria-label", title); }
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) node.addEventListener(name, listener);
  node.append(...children);
  return node;
}

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Questions to the kernel and their answers, told apart by tokens: several pages may share one kernel. */
class Link {
  constructor(model, onConnected) {
    this.model = model;
    this.onConnected = onConnected;
    this.page = Math.random().toString(36).slice(2);
    this.asked = 0;
    this.waiting = new Map();
    this.listener = (reply, buffers) => this.receive(reply, buffers);
    model.on("msg:custom", this.listener);
  }

  /** Resolves to {reply, buffers}; rejects when no answer came in time. */
  ask(message) {
    const token = `${this.page}:${this.asked++}`;
    return new Promise((resolve, reject) => {
      const late = () => { this.waiting.delete(token); this.onConnected(false); reject(new Error(NOT_CONNECTED)); };
      this.waiting.set(token, { resolve, timer: setTimeout(late, ANSWER_MS) });
      try { this.model.send({ ...message, token }); } catch { /* the channel is closed: the timer tells */ }
    });
  }

  receive(reply, buffers) {
    if (!String(reply.token).startsWith(`${this.page}:`)) return;
    this.onConnected(true);
    const { resolve, timer } = this.waiting.get(reply.token) ?? {};
    clearTimeout(timer);
    this.waiting.delete(reply.token);
    resolve?.({ reply, buffers });
  }

  close() {
    this.model.off("msg:custom", this.listener);
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
  }
}

/** Where we are in the clip. Asks for one picture at a time, always the newest that is wanted. */
class Player {
  constructor(link, facts, onPicture, onMove) {
    Object.assign(this, { link, facts, onPicture, onMove });
    this.wanted = 0; // the frame to show
    this.shown = -1; // the frame that is seen
    this.playing = false;
    this.speed = 1;
    this.loop = null; // [start, stop] while a range is played again and again
    this.asking = false;
  }

  /** The frame the person means: what is seen while the clip runs. */
  get frame() { return this.playing && this.shown >= 0 ? this.shown : this.wanted; }

  seek(frame) {
    this.wanted = clamp(Math.round(frame), 0, this.facts.num_frames - 1);
    if (this.playing) this.startClock();
    this.onMove();
    this.fetch();
  }

  async fetch() {
    if (this.asking || this.wanted === this.shown) return;
    this.asking = true;
    const number = this.wanted;
    try {
      const { reply, buffers } = await this.link.ask({ kind: "frame", number });
      if (reply.error) { this.pause(); this.onPicture(null, reply.error); return; }
      const bitmap = await createImageBitmap(new Blob([buffers[0]], { type: "image/jpeg" }));
      this.shown = number;
      this.onPicture(bitmap);
      bitmap.close();
    } catch { // no answer: the link has said so
      this.pause();
      return;
    } finally {
      this.asking = false;
    }
    this.fetch();
  }

  startClock() { this.clock = { time: performance.now(), frame: this.wanted }; }

  play() {
    const [start, stop] = this.loop ?? [0, this.facts.num_frames];
    if (this.wanted >= stop - 1 || this.wanted < start) this.wanted = start;
    this.playing = true;
    this.startClock();
    requestAnimationFrame(() => this.tick());
    this.onMove();
  }

  pause() {
    if (!this.playing) return;
    this.playing = false;
    if (this.shown >= 0) this.wanted = this.shown; // stay at what was seen
    this.onMove();
  }

  setSpeed(speed) { this.speed = speed; if (this.playing) this.startClock(); this.onMove(); }

  /** The clock decides which frame it is; a slow kernel makes us skip frames, never run late. */
  tick() {
    if (!this.playing) return;
    const seconds = (performance.now() - this.clock.time) / 1000;
    const frame = this.clock.frame + Math.floor(seconds * this.facts.fps * this.speed);
    const stop = this.loop?.[1] ?? this.facts.num_frames;
    if (frame < stop) this.wanted = frame;
    else if (this.loop) { this.wanted = this.loop[0]; this.startClock(); }
    else { this.wanted = stop - 1; this.playing = false; }
    this.onMove();
    this.fetch();
    requestAnimationFrame(() => this.tick());
  }
}

/** Ruler, traces, lanes and scroll bar on one canvas. Knows what is where; what a drag means is said outside. */
class TimeLine {
  constructor(tool, traces) {
    this.tool = tool;
    this.traces = traces; // [valence, arousal] or null
    this.from = 0;
    this.to = tool.facts.num_frames;
    this.top = RULER + (traces ? TRACES : 0);
    this.height = this.top + LANE * tool.facts.lanes.length + SCROLL;
    this.canvas = element("canvas", { class: "afk-timeline", role: "img" });
    this.canvas.setAttribute("aria-label", "Time line: lanes of the annotation. All of it can be done by keys.");
    this.canvas.style.height = `${this.height}px`;
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
  }

  get width() { return Math.max(1, this.canvas.clientWidth - GUTTER - 8); }
  x(frame) { return GUTTER + ((frame - this.from) / (this.to - this.from)) * this.width; }
  frameAt(x) { return this.from + ((x - GUTTER) / this.width) * (this.to - this.from); }

  zoom(factor, centre) {
    const total = this.tool.facts.num_frames;
    const span = clamp((this.to - this.from) * factor, Math.min(total, 10), total);
    this.show(centre - span / 2, span);
  }

  show(from, span = this.to - this.from) {
    this.from = clamp(from, 0, this.tool.facts.num_frames - span);
    this.to = this.from + span;
    this.draw();
  }

  /** Keep a frame in view while it moves. */
  follow(frame) {
    if (frame >= this.from && frame < this.to) return;
    const span = this.to - this.from;
    this.show(frame < this.from ? frame - 0.9 * span : frame - 0.1 * span);
  }

  press(event) {
    if (event.button !== 0) return;
    const box = this.canvas.getBoundingClientRect();
    const at = (e) => ({ x: e.clientX - box.left, frame: this.frameAt(e.clientX - box.left) });
    const y = event.clientY - box.top, start = at(event);
    const row = Math.floor((y - this.top) / LANE);
    const lanes = y >= this.top && row < this.tool.facts.lanes.length;
    if (lanes) this.tool.chooseLane(row);
    if (start.x < GUTTER) return;
    const drag = y >= this.height - SCROLL ? this.scrolling(start) : lanes ? this.selecting(start, row) : this.scrubbing(start);
    const move = (e) => drag(at(e), false);
    const up = (e) => {
      this.canvas.removeEventListener("pointermove", move);
      this.canvas.removeEventListener("pointerup", up);
      this.canvas.removeEventListener("pointercancel", up);
      drag(at(e), true);
    };
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.addEventListener("pointermove", move);
    this.canvas.addEventListener("pointerup", up);
    this.canvas.addEventListener("pointercancel", up);
  }

  scrubbing(start) {
    this.tool.player.seek(Math.floor(start.frame));
    return ({ frame }) => this.tool.player.seek(Math.floor(frame));
  }

  scrolling(start) {
    const from = this.from, total = this.tool.facts.num_frames;
    const inside = start.x >= this.scrollX(this.from) && start.x <= this.scrollX(this.to);
    const shift = inside ? 0 : ((start.x - GUTTER) / this.width) * total - (this.from + this.to) / 2;
    return ({ x }) => this.show(from + shift + ((x - start.x) / this.width) * total);
  }

  scrollX(frame) { return GUTTER + (frame / this.tool.facts.num_frames) * this.width; }

  /** A drag chooses a range, or moves an end of it; a click goes there and chooses the segment under it. */
  selecting(start, row) {
    const { tool } = this, total = tool.facts.num_frames;
    const whole = (frame) => clamp(Math.floor(frame), 0, total - 1);
    let anchor = whole(start.frame);
    if (tool.range) {
      const [left, right] = tool.range;
      if (Math.abs(start.x - this.x(left)) < 5) anchor = right - 1;
      else if (Math.abs(start.x - this.x(right)) < 5) anchor = left;
    }
    let moved = false;
    return ({ x, frame }, end) => {
      moved ||= Math.abs(x - start.x) > 3;
      const here = whole(frame);
      if (moved) tool.setRange([Math.min(anchor, here), Math.max(anchor, here) + 1]);
      else if (end) {
        const segment = tool.segmentsOf(row).find(([, from, to]) => from <= here && here < to);
        tool.setRange(segment ? segment.slice(1) : null);
      }
      if (moved || end) tool.player.seek(here);
    };
  }

  draw() {
    const { canvas } = this, ratio = window.devicePixelRatio || 1;
    if (!canvas.clientWidth) return;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(this.height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    pen.font = "12px system-ui, sans-serif";
    pen.textBaseline = "middle";
    this.drawRuler(pen);
    if (this.traces) this.drawTraces(pen);
    this.tool.facts.lanes.forEach((lane, row) => this.drawLane(pen, lane, row));
    this.drawRangeAndPlayhead(pen);
    pen.fillStyle = GRID;
    pen.fillRect(GUTTER, this.height - 9, this.width, 6);
    pen.fillStyle = FAINT;
    pen.fillRect(this.scrollX(this.from), this.height - 9, Math.max(6, this.scrollX(this.to) - this.scrollX(this.from)), 6);
  }

  /** Runs `paint` so that nothing of it is left of the lanes or right of them. */
  clipped(pen, paint) {
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER, 0, this.width, this.height);
    pen.clip();
    paint();
    pen.restore();
  }

  drawRuler(pen) {
    const { fps } = this.tool.facts, seconds = (this.to - this.from) / fps;
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];
    const step = steps.find((s) => (s / seconds) * this.width >= 70) ?? 3600;
    pen.fillStyle = FAINT;
    pen.strokeStyle = GRID;
    for (let k = Math.ceil(this.from / fps / step); k * step <= this.to / fps; k++) {
      const x = this.x(k * step * fps);
      pen.beginPath();
      pen.moveTo(x, RULER - 4);
      pen.lineTo(x, this.height - SCROLL);
      pen.stroke();
      if (x < GUTTER + this.width - 30) pen.fillText(clockText(k * step, step < 1 ? 1 : 0), x + 3, 9);
    }
  }

  drawTraces(pen) {
    const middle = RULER + TRACES / 2, half = TRACES / 2 - 5;
    pen.strokeStyle = GRID;
    pen.strokeRect(GUTTER, middle - half, this.width, 2 * half);
    pen.beginPath();
    pen.moveTo(GUTTER, middle);
    pen.lineTo(GUTTER + this.width, middle);
    pen.stroke();
    [["valence", ACCENT, []], ["arousal", WARM, [5, 3]]].forEach(([name, colour, dash], k) => {
      const values = this.traces[k], y = middle - 13 + 26 * k;
      pen.strokeStyle = colour;
      pen.lineWidth = 1.5;
      pen.setLineDash(dash);
      pen.beginPath();
      pen.moveTo(8, y);
      pen.lineTo(28, y);
      pen.stroke();
      pen.fillStyle = INK;
      pen.fillText(name, 34, y);
      this.clipped(pen, () => this.drawTrace(pen, values, middle, half));
      pen.setLineDash([]);
      pen.lineWidth = 1;
    });
  }

  drawTrace(pen, values, middle, half) {
    const step = Math.max(1, Math.floor((this.to - this.from) / (2 * this.width)));
    let down = false;
    pen.beginPath();
    for (let i = Math.max(0, Math.floor(this.from / step) * step); i < Math.min(values.length, this.to + step); i += step) {
      if (Number.isNaN(values[i])) { down = false; continue; } // not labelled: a gap
      pen[down ? "lineTo" : "moveTo"](this.x(i + 0.5), middle - half * values[i]);
      down = true;
    }
    pen.stroke();
  }

  drawLane(pen, lane, row) {
    const { tool } = this, y = this.top + row * LANE, chosen = row === tool.lane;
    pen.fillStyle = chosen ? TINT : row % 2 ? "#ffffff" : "#fafbfc";
    pen.globalAlpha = chosen ? 1 : 0.6;
    pen.fillRect(0, y, GUTTER + this.width, LANE);
    pen.globalAlpha = 1;
    if (chosen) { pen.fillStyle = ACCENT; pen.fillRect(0, y, 3, LANE); }
    pen.fillStyle = INK;
    pen.font = `${chosen ? "600 " : ""}12px system-ui, sans-serif`;
    pen.fillText(`${row + 1}  ${lane.name}`, 10, y + LANE / 2);
    this.clipped(pen, () => {
      const bar = tool.showOthers ? 12 : LANE - 6;
      pen.fillStyle = ACCENT;
      for (const [, start, stop] of tool.segmentsOf(row)) {
        pen.fillRect(this.x(start), y + 3, Math.max(1.5, this.x(stop) - this.x(start)), bar);
      }
      if (!tool.showOthers) return;
      const others = tool.state.others, thick = Math.min(3, 5 / Math.max(1, others.length));
      pen.fillStyle = OTHER;
      others.forEach(([, segments], k) => {
        for (const [name, start, stop] of segments) {
          if (name === lane.name) pen.fillRect(this.x(start), y + 16 + k * thick, Math.max(1.5, this.x(stop) - this.x(start)), thick - 0.5);
        }
      });
    });
  }

  drawRangeAndPlayhead(pen) {
    const { range, player } = this.tool, bottom = this.height - SCROLL;
    this.clipped(pen, () => {
      if (range) {
        const [left, right] = range.map((frame) => this.x(frame));
        pen.fillStyle = "rgba(184, 67, 0, 0.13)";
        pen.fillRect(left, RULER - 4, right - left, bottom - RULER + 4);
        pen.fillStyle = WARM;
        pen.fillRect(left - 1, RULER - 4, 2, bottom - RULER + 4);
        pen.fillRect(right - 1, RULER - 4, 2, bottom - RULER + 4);
      }
      const x = this.x(player.frame), wide = Math.max(1.5, this.x(player.frame + 1) - x);
      pen.fillStyle = "rgba(31, 41, 51, 0.18)";
      if (wide > 3) pen.fillRect(x, RULER - 6, wide, bottom - RULER + 6);
      pen.fillStyle = INK;
      pen.fillRect(x, RULER - 6, 1.5, bottom - RULER + 6);
      pen.beginPath();
      pen.moveTo(x - 5, RULER - 10);
      pen.lineTo(x + 6.5, RULER - 10);
      pen.lineTo(x + 0.75, RULER - 2);
      pen.fill();
    });
  }
}

function clockText(seconds, digits) {
  const rounded = Number(seconds.toFixed(digits)), minutes = Math.floor(rounded / 60);
  return `${minutes}:${(rounded - 60 * minutes).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
}

/** All of it: state, actions, and the elements that show them. */
class Tool {
  constructor(link, root, facts, state, traces) {
    Object.assign(this, { link, root, facts, state });
    this.lane = 0;
    this.range = null;
    this.showOthers = false;
    this.reviewing = null; // the segment under review
    this.reviewOn = false;
    this.player = new Player(link, facts, (bitmap, error) => this.picture(bitmap, error), () => this.moved());
    this.timeline = new TimeLine(this, traces);
    this.build();
    this.refresh();
    this.player.seek(0);
  }

  // ---- what is there ----

  segmentsOf(row) { return this.state.segments.filter(([name]) => name === this.facts.lanes[row].name); }

  activeAt(frame) {
    const names = new Set(this.state.segments.filter(([, from, to]) => from <= frame && frame < to).map(([name]) => name));
    return this.facts.lanes.filter(({ name }) => names.has(name));
  }

  seconds(frame) { return clockText(frame / this.facts.fps, 2); }

  // ---- actions: every key and every button is one of these ----

  actions() {
    const { player, timeline } = this;
    const step = (by) => () => { player.pause(); player.seek(player.wanted + by); };
    const go = (frame) => () => player.seek(frame);
    return {
      play: () => (player.playing ? player.pause() : player.play()),
      forward: step(1), back: step(-1), forward10: step(10), back10: step(-10),
      first: go(0), last: go(this.facts.num_frames - 1),
      next: () => this.jump(1), previous: () => this.jump(-1),
      slower: () => this.changeSpeed(-1), faster: () => this.changeSpeed(1),
      loop: () => this.setLoop(!player.loop),
      in: () => this.setEnd(0), out: () => this.setEnd(1),
      release: () => (this.help.hidden ? this.setRange(null) : this.toggleHelp()),
      laneUp: () => this.chooseLane(this.lane - 1), laneDown: () => this.chooseLane(this.lane + 1),
      mark: () => this.change("mark"), clear: () => this.change("clear"),
      undo: () => this.edit({ kind: "undo" }), redo: () => this.edit({ kind: "redo" }),
      others: () => this.toggleOthers(), help: () => this.toggleHelp(),
      review: () => this.toggleReview(), accept: () => this.verdict("accept"), change: () => this.verdict("change"),
      zoomIn: () => timeline.zoom(0.5, player.frame), zoomOut: () => timeline.zoom(2, player.frame),
      zoomAll: () => timeline.zoom(Infinity, 0),
    };
  }

  jump(direction) {
    const here = this.player.wanted;
    if (this.reviewOn) { this.nextReview(direction); return; }
    const starts = this.state.segments.map(([, start]) => start).sort((a, b) => a - b);
    const found = direction > 0 ? starts.find((start) => start > here) : starts.findLast((start) => start < here);
    if (found === undefined) this.say(direction > 0 ? "no segment starts later" : "no segment starts earlier");
    else this.player.seek(found);
  }

  changeSpeed(by) {
    const k = clamp(SPEEDS.indexOf(this.player.speed) + by, 0, SPEEDS.length - 1);
    this.player.setSpeed(SPEEDS[k]);
    this.speed.value = String(SPEEDS[k]);
  }

  setLoop(on) {
    if (on && !this.range) { this.say("choose a range first: I and O, or drag on the lanes"); return; }
    this.player.loop = on ? this.range : null;
    this.refresh();
  }

  setRange(range) {
    this.range = range;
    if (this.player.loop) this.player.loop = range;
    this.refresh();
  }

  setEnd(end) {
    const here = this.player.frame, [start, stop] = this.range ?? [here, here + 1];
    if (end) this.setRange([Math.min(start, here), here + 1]);
    else this.setRange([here, Math.max(stop, here + 1)]);
  }

  chooseLane(lane) {
    this.lane = clamp(lane, 0, this.facts.lanes.length - 1);
    this.refresh();
  }

  change(kind) {
    const [start, stop] = this.range ?? [this.player.frame, this.player.frame + 1];
    this.edit({ kind, lane: this.facts.lanes[this.lane].name, start, stop });
  }

  /** Ask for a change. "saved" is shown only when the kernel said that it is on the disk. */
  async edit(message) {
    this.saved.textContent = "saving…";
    try {
      const { reply } = await this.link.ask(message);
      if (reply.error) this.fail(reply.error);
      else this.say("");
      this.saved.textContent = reply.saved ? `saved ${reply.saved}` : reply.error ? "not saved" : "";
      if (reply.state) this.update(reply.state);
      return !reply.error;
    } catch {
      this.saved.textContent = "not saved";
      return false;
    }
  }

  async export() {
    try {
      const { reply } = await this.link.ask({ kind: "export", format: this.format.value });
      if (reply.error) this.fail(reply.error);
      else this.say(`written beside the project: ${reply.exported}`);
    } catch { /* the link has said that nobody answers */ }
  }

  toggleOthers() {
    this.showOthers = !this.showOthers;
    const names = this.state.others.map(([name]) => name);
    if (this.showOthers) this.say(names.length ? `grey strips, top to bottom: ${names.join(", ")}` : "nobody else has annotated this clip yet");
    else this.say("");
    this.refresh();
  }

  toggleHelp() {
    this.help.hidden = !this.help.hidden;
    if (this.help.hidden) this.root.focus({ preventScroll: true });
    else this.help.querySelector("button").focus({ preventScroll: true });
  }

  // ---- second pass: one segment after the other, accept or change ----

  toggleReview() {
    this.reviewOn = !this.reviewOn;
    this.reviewing = null;
    if (this.reviewOn) this.nextReview(0);
    else this.setLoop(false);
    this.refresh();
  }

  /** Go to the first segment to review that starts after the present one, or before it. */
  nextReview(direction) {
    const left = this.state.unreviewed, now = this.reviewing;
    const key = ([name, start]) => [start, this.facts.lanes.findIndex((lane) => lane.name === name)];
    const order = (a, b) => key(a)[0] - key(b)[0] || key(a)[1] - key(b)[1];
    const sorted = [...left].sort(order);
    const later = now && sorted.find((segment) => order(segment, now) > 0);
    const earlier = now && sorted.findLast((segment) => order(segment, now) < 0);
    this.reviewing = (direction < 0 ? earlier : later) ?? (direction < 0 ? sorted.at(-1) : sorted[0]) ?? null;
    this.comment.value = "";
    if (this.reviewing) {
      const [name, start, stop] = this.reviewing;
      this.lane = this.facts.lanes.findIndex((lane) => lane.name === name);
      this.range = [start, stop];
      if (this.player.loop) this.player.loop = this.range;
      this.player.seek(start);
    }
    this.refresh();
  }

  async verdict(verdict) {
    if (!this.reviewing) { this.say(this.reviewOn ? "every segment is reviewed" : "press R to begin the second pass"); return; }
    const [lane, start, stop] = this.reviewing;
    const done = await this.edit({ kind: "review", lane, start, stop, verdict, comment: this.comment.value.trim() });
    if (!done) return;
    if (verdict === "accept") this.nextReview(1);
    else this.say("now correct it: choose the range, mark or clear; N goes on");
  }

  // ---- showing ----

  update(state) { this.state = state; this.refresh(); }

  picture(bitmap, error) {
    if (error) { this.fail(error); return; }
    this.canvas.width = bitmap.width;
    this.canvas.height = bitmap.height;
    this.canvas.getContext("2d").drawImage(bitmap, 0, 0);
    this.root.dataset.shown = this.player.shown + 1;
    this.chips.replaceChildren(...this.chipsNow());
    this.moved();
  }

  moved() {
    const { player } = this, frame = player.frame;
    this.clock.textContent = `${this.seconds(frame)}  frame ${frame + 1} of ${this.facts.num_frames}`;
    this.buttons.play.textContent = player.playing ? "❚❚" : "▶";
    this.buttons.play.title = player.playing ? "Pause (Space)" : "Play (Space)";
    this.buttons.play.setAttribute("aria-label", this.buttons.play.title);
    this.timeline.follow(frame);
    this.timeline.draw();
  }

  refresh() {
    const { buttons, state, player } = this;
    this.lanes.forEach((button, row) => button.setAttribute("aria-pressed", String(row === this.lane)));
    buttons.undo.disabled = !state.can_undo;
    buttons.redo.disabled = !state.can_redo;
    buttons.loop.setAttribute("aria-pressed", String(Boolean(player.loop)));
    buttons.others.setAttribute("aria-pressed", String(this.showOthers));
    buttons.review.setAttribute("aria-pressed", String(this.reviewOn));
    this.span.textContent = this.range
      ? `range ${this.range[0] + 1}–${this.range[1]} (${this.range[1] - this.range[0]} frames)` : "this frame only";
    this.root.dataset.revision = state.revision;
    this.refreshReview();
    if (player.shown >= 0) this.chips.replaceChildren(...this.chipsNow());
    this.moved();
  }

  chipsNow() {
    return this.activeAt(this.player.shown).map(({ name, title }) =>
      element("span", { class: "afk-chip" }, element("b", { text: name }), title ? ` ${title}` : ""));
  }

  refreshReview() {
    const { state, reviewing, reviewOn } = this, left = state.unreviewed.length;
    this.reviewText.textContent = !reviewOn ? `to review: ${left} of ${state.segments.length} segments`
      : reviewing ? `${reviewing[0]}, frames ${reviewing[1] + 1}–${reviewing[2]}; ${left} to review`
      : state.segments.length ? "every segment is reviewed" : "nothing is marked yet";
    this.buttons.accept.disabled = this.buttons.change.disabled = this.comment.disabled = !reviewing;
  }

  say(text) { this.message.textContent = text; this.message.classList.remove("afk-error"); }
  fail(text) { this.message.textContent = text; this.message.classList.add("afk-error"); }

  connected(yes) {
    this.offline.hidden = yes;
    this.message.hidden = !yes;
  }

  // ---- elements ----

  build() {
    const act = this.actions();
    this.act = act;
    this.buttons = {};
    const button = (name, text, title) =>
      (this.buttons[name] = element("button", { type: "button", text, title, class: `afk-do-${name}`, on: { click: () => act[name]() } }));
    this.buildStage(button);
    this.buildMessages();
    this.speed = element("select", { title: "Speed ([ slower, ] faster)", on: { change: () => this.player.setSpeed(Number(this.speed.value)) } },
      ...SPEEDS.map((speed) => element("option", { value: String(speed), text: `${speed}×` })));
    this.speed.value = "1";
    this.clock = element("span", { class: "afk-clock" });
    this.span = element("span", { class: "afk-range" });
    const transport = element("div", { class: "afk-row afk-transport" },
      element("div", { class: "afk-group" }, button("first", "|◀", "First frame (Home)"), button("back10", "−10", "Ten frames back (Shift+←)"),
        button("back", "−1", "One frame back (←)"), button("play", "▶", "Play (Space)"), button("forward", "+1", "One frame on (→)"),
        button("forward10", "+10", "Ten frames on (Shift+→)"), button("last", "▶|", "Last frame (End)")),
      element("div", { class: "afk-group" }, button("previous", "‹ seg", "Previous start of a segment (P)"), button("next", "seg ›", "Next start of a segment (N)")),
      element("div", { class: "afk-group" }, this.speed, button("loop", "loop", "Loop the range (L)")), this.clock);
    const tools = element("div", { class: "afk-row" },
      element("div", { class: "afk-group" }, button("in", "start here", "Range starts at this frame (I)"), button("out", "end here", "Range ends at this frame (O)"), button("release", "✕", "Let go of the range (Esc)")),
      this.span,
      element("div", { class: "afk-group afk-right" }, button("others", "others", "Show other annotators (V)"),
        button("zoomOut", "−", "Zoom out (−)"), button("zoomIn", "+", "Zoom in (+)"), button("zoomAll", "all", "Whole clip (0)")));
    const head = element("div", { class: "afk-row afk-head" }, element("b", { text: this.facts.video }),
      element("span", { text: `${this.facts.annotator} · ${this.facts.task === "au" ? "action units" : "expressions"}` }),
      element("div", { class: "afk-group afk-right" }, this.saved, button("help", "? keys", "Keys (?)")));
    this.buildHelp();
    this.root.replaceChildren(head, this.top, transport, tools, this.timeline.canvas,
      element("div", { class: "afk-row afk-foot" }, this.message, this.offline), this.help);
  }

  buildMessages() {
    this.message = element("span", { class: "afk-message", role: "status", "aria-live": "polite" });
    this.offline = element("span", { class: "afk-message afk-error afk-offline", role: "alert", text: NOT_CONNECTED });
    this.offline.hidden = true;
    this.saved = element("span", { class: "afk-saved", role: "status" });
  }

  buildStage(button) {
    this.canvas = element("canvas", { class: "afk-picture", role: "img", "aria-label": "The clip" });
    this.chips = element("div", { class: "afk-chips" });
    const stage = element("div", { class: "afk-stage" }, this.canvas, this.chips);
    this.lanes = this.facts.lanes.map(({ name, title }, row) => element("button", {
      type: "button", class: "afk-lane", title: `Choose ${name}${title ? `, ${title}` : ""} (${row + 1})`,
      on: { click: () => this.chooseLane(row) },
    }, element("kbd", { text: String(row + 1) }), element("b", { text: name }), element("span", { text: title })));
    this.format = element("select", { title: "Format of the export" },
      ...this.facts.exports.map(([value, text]) => element("option", { value, text })));
    this.reviewText = element("div", { class: "afk-review-text", role: "status" });
    this.comment = element("input", { type: "text", placeholder: "comment", title: "Comment on this segment", maxlength: "500" });
    const side = element("div", { class: "afk-side" },
      element("div", { class: "afk-lanes" }, ...this.lanes),
      element("div", { class: "afk-group afk-wide" }, button("mark", "mark", "Mark the chosen lane (M)"), button("clear", "clear", "Clear the chosen lane (X)"),
        button("undo", "undo", "Undo (Ctrl+Z)"), button("redo", "redo", "Redo (Ctrl+Y)")),
      element("div", { class: "afk-review" }, this.reviewText, this.comment,
        element("div", { class: "afk-group afk-wide" }, button("review", "review", "Second pass on or off (R)"),
          button("accept", "accept", "Accept this segment (A)"), button("change", "change", "This segment needs a change (C)"))),
      element("div", { class: "afk-group afk-wide" }, this.format,
        element("button", { type: "button", class: "afk-do-export", text: "export", title: "Write a file beside the project", on: { click: () => this.export() } })));
    this.top = element("div", { class: "afk-top" }, stage, side);
  }

  buildHelp() {
    const rows = HELP.map(([keys, what]) => element("div", {}, element("kbd", { text: keys }), element("span", { text: what })));
    this.help = element("div", { class: "afk-overlay", role: "dialog", "aria-label": "Keys" },
      element("div", { class: "afk-card" }, element("b", { text: "Keys" }), element("div", { class: "afk-keys" }, ...rows),
        element("button", { type: "button", text: "close", title: "Close (Esc)", on: { click: () => this.toggleHelp() } })));
    this.help.hidden = true;
  }
}

/** Keys belong to the tool only while the focus is in it. Jupyter listens at the document, so we listen before it:
    one letter pressed here must never delete a cell. Keys with Ctrl that are not ours go on to Jupyter. */
function keyListener(root, tool) {
  return (event) => {
    if (!root.contains(document.activeElement) && !root.contains(event.composedPath()[0])) return;
    const target = event.composedPath()[0], typing = target.matches?.("input, select");
    const ctrl = event.ctrlKey || event.metaKey;
    const name = (ctrl ? "ctrl+" : "") + (event.shiftKey ? "shift+" : "") + event.key.toLowerCase();
    if (typing) {
      if (event.key === "Escape") root.focus({ preventScroll: true });
      if (!ctrl) event.stopImmediatePropagation();
      return;
    }
    const onButton = target.matches?.("button") && (event.key === " " || event.key === "Enter");
    const lane = !ctrl && !event.altKey && /^[1-9]$/.test(event.key) ? Number(event.key) : 0;
    if (!onButton && !event.altKey && KEYS[name]) {
      event.preventDefault();
      tool.act[KEYS[name]]();
    } else if (lane && lane <= tool.facts.lanes.length) tool.chooseLane(lane - 1);
    else if (ctrl || event.altKey || (event.key.length > 1 && !onButton)) return;
    event.stopImmediatePropagation();
  };
}

async function start(link, root, signal) {
  const { reply, buffers } = await link.ask({ kind: "open" });
  if (reply.error) { root.textContent = reply.error; return null; }
  const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const tool = new Tool(link, root, reply.facts, reply.state, buffers.length === 2 ? buffers.map(floats) : null);
  window.addEventListener("keydown", keyListener(root, tool), { capture: true, signal });
  // A click on a button leaves the keys to the whole tool, else Space would press that button again.
  root.addEventListener("click", (event) => {
    if (event.detail > 0 && !event.target.closest("input, select")) root.focus({ preventScroll: true });
  });
  root.addEventListener("change", (event) => { if (event.target.matches("select")) root.focus({ preventScroll: true }); });
  return tool;
}

/** Ask now and then whether somebody else wrote, and whether the kernel still answers. */
function keepAsking(link, tool, root) {
  let asked = 0, waiting = false;
  return setInterval(async () => {
    const now = performance.now();
    if (document.hidden || tool.player.playing || !root.isConnected || (waiting && now - asked < ASK_AGAIN_MS)) return;
    [asked, waiting] = [now, true];
    try {
      const { reply } = await link.ask({ kind: "poll", revision: tool.state.revision });
      waiting = false;
      if (reply.error) tool.fail(reply.error);
      else if (reply.state) tool.update(reply.state);
    } catch { /* the link has said that nobody answers */ }
  }, POLL_MS);
}

function render({ model, el }) {
  const root = element("div", { class: "afk", tabindex: "0", role: "application", "aria-label": "Annotation tool; ? shows its keys" });
  root.textContent = "opening…";
  el.append(root);
  const ending = new AbortController();
  let tool = null, timer = null;
  const link = new Link(model, (yes) => { if (tool) tool.connected(yes); else if (!yes) root.textContent = NOT_CONNECTED; });
  start(link, root, ending.signal).then((made) => {
    tool = made;
    if (tool && !ending.signal.aborted) timer = keepAsking(link, tool, root);
  }, () => {});
  return () => {
    ending.abort();
    clearInterval(timer);
    tool?.player.pause();
    tool?.timeline.observer.disconnect();
    link.close();
  };
}

export default { render };
