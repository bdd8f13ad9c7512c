// Part 3 of the page: the time line under the picture.

// Heights and the left margin in pixels; the colours are those of annotator.css.
const GUTTER = 104, RULER = 20, TRACES = 60, LANE = 22, SCROLL = 14, MARGIN = 8;
const INK = "#1f2933", FAINT = "#5f6b7a", GRID = "#e4e7eb", ACCENT = "#0b62b8", TINT = "#e6f0fa";
const OTHERS = ["#52606d", "#98a3b0"], WARM = "#b84300";

function clockText(seconds, digits) {
  const rounded = Number(seconds.toFixed(digits)), minutes = Math.floor(rounded / 60);
  return `${minutes}:${(rounded - 60 * minutes).toFixed(digits).padStart(digits ? digits + 3 : 2, "0")}`;
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
    this.canvas.setAttribute("aria-label", "Timeline: lanes of the annotation. Everything here can also be done by keyboard.");
    this.canvas.style.height = `${this.height}px`;
    this.canvas.addEventListener("pointerdown", (event) => this.press(event));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
  }

  get width() { return Math.max(1, this.canvas.clientWidth - GUTTER - MARGIN); }
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
    const scroll = y >= this.height - SCROLL;
    const drag = scroll ? this.scrolling(start) : lanes ? this.selecting(start, row) : this.scrubbing(start);
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
    const left = this.scrollX(this.from);
    pen.fillRect(left, this.height - 9, Math.max(6, this.scrollX(this.to) - left), 6);
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
      if (x < GUTTER + this.width - 30) pen.fillText(clockText(k * step, step < 1 ? 1 : 0), x + 8, 9);
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
    const first = Math.max(0, Math.floor(this.from / step) * step), last = Math.min(values.length, this.to + step);
    for (let i = first; i < last; i += step) {
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
      const bar = tool.showOthers ? 8 : LANE - 6;
      const run = (start, stop, top, high) => {
        pen.fillRect(this.x(start), top, Math.max(1.5, this.x(stop) - this.x(start)), high);
      };
      pen.fillStyle = ACCENT;
      for (const [, start, stop] of tool.segmentsOf(row)) run(start, stop, y + 3, bar);
      if (!tool.showOthers) return;
      const others = tool.state.others, thick = Math.min(5, 10 / Math.max(1, others.length));
      others.forEach(([, segments], k) => {
        pen.fillStyle = OTHERS[k % OTHERS.length]; // dark and light in turn: two strips that touch stay two
        for (const [name, start, stop] of segments) {
          if (name === lane.name) run(start, stop, y + 12 + k * thick, Math.max(1, thick - 1));
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
