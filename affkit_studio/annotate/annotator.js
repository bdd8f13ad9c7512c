// Part 5 of the annotation tool: the tool itself. annotator.py puts the parts together and answers what the page asks.
// Frames are 0-based and ranges half open, as in Python; what people read is 1-based and inclusive.

const POLL_MS = 2000;
const ASK_AGAIN_MS = 10000;

// Key, as KeyboardEvent.key in lower case, to the name of an action.
const KEYS = {
  " ": "play", "arrowright": "forward", "arrowleft": "back", "shift+arrowright": "forward10",
  "shift+arrowleft": "back10", "home": "first", "end": "last", "n": "next", "p": "previous",
  "[": "slower", "]": "faster", "l": "loop", "i": "in", "o": "out", "escape": "release",
  "arrowdown": "laneDown", "arrowup": "laneUp", "m": "mark", "x": "clear", "delete": "clear",
  "ctrl+z": "undo", "ctrl+shift+z": "redo", "ctrl+y": "redo", "v": "others", "r": "review", "a": "accept",
  "c": "change", "+": "zoomIn", "shift++": "zoomIn", "=": "zoomIn", "-": "zoomOut", "0": "zoomAll",
  "?": "help", "shift+?": "help",
};

/** All of it: the state, what can be done to it, and how it is shown. */
class Tool {
  constructor(link, root, facts, state, traces) {
    Object.assign(this, { link, root, facts, state });
    this.lane = 0;
    this.range = null; // [start, stop], or null: the frame that is seen
    this.showOthers = false;
    this.reviewOn = false; // the second pass
    this.reviewing = null; // the segment under review: [lane, start, stop]
    this.changing = null; // it needs a change, with this comment: [lane, start, stop, comment]
    this.player = new Player(link, facts, (bitmap, error) => this.draw(bitmap, error), () => this.moved());
    this.timeline = new TimeLine(this, traces);
    this.actions = this.allActions();
    const listeners = {
      onLane: (row) => this.chooseLane(row),
      onSpeed: (speed) => this.player.setSpeed(Number(speed)),
    };
    Object.assign(this, layOut(root, facts, this.actions, this.timeline, listeners));
    this.refresh();
    this.player.seek(0);
  }

  // ---- what is there ----

  segmentsOf(row) { return this.state.segments.filter(([name]) => name === this.facts.lanes[row].name); }

  rowOf(name) { return this.facts.lanes.findIndex((lane) => lane.name === name); }

  activeAt(frame) {
    const here = this.state.segments.filter(([, start, stop]) => start <= frame && frame < stop);
    return this.facts.lanes.filter((lane) => here.some(([name]) => name === lane.name));
  }

  // ---- what can be done: every key and every button is one of these ----

  allActions() {
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
      mark: () => this.annotate("mark"), clear: () => this.annotate("clear"),
      undo: () => this.edit({ kind: "undo" }), redo: () => this.edit({ kind: "redo" }),
      others: () => this.toggleOthers(), help: () => this.toggleHelp(),
      review: () => this.toggleReview(), accept: () => this.accept(), change: () => this.needsChange(),
      zoomIn: () => timeline.zoom(0.5, player.frame), zoomOut: () => timeline.zoom(2, player.frame),
      zoomAll: () => timeline.zoom(Infinity, 0),
      export: () => this.export(),
    };
  }

  jump(direction) {
    if (this.reviewOn) { this.nextReview(direction); return; }
    const here = this.player.frame;
    const starts = this.state.segments.map(([, start]) => start).sort((a, b) => a - b);
    const found = direction > 0 ? starts.find((start) => start > here) : starts.findLast((start) => start < here);
    if (found !== undefined) this.player.seek(found);
    else this.say(direction > 0 ? "no segment starts later" : "no segment starts earlier");
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

  chooseLane(row) {
    this.lane = clamp(row, 0, this.facts.lanes.length - 1);
    this.refresh();
  }

  async annotate(kind) {
    const [start, stop] = this.range ?? [this.player.frame, this.player.frame + 1];
    const changing = this.changing;
    const saved = await this.edit({ kind, lane: this.facts.lanes[this.lane].name, start, stop, changing });
    if (saved && changing && changing === this.changing) {
      this.changing = this.reviewing = null;
      this.say("the change is kept with its comment; N goes on");
      this.refresh();
    }
  }

  /** Ask for a change; whether it was made. "saved" is shown only when the kernel said that it is on the disk. */
  async edit(message) {
    this.saved.textContent = "saving…";
    try {
      const { reply } = await this.link.ask(message);
      this.edited(reply);
      return !reply.error;
    } catch { // nobody answered, and the link has said so
      this.saved.textContent = "not saved";
      return false;
    }
  }

  /** The answer to a change, also one that came after we stopped waiting. */
  edited(reply) {
    this.say(reply.error ?? "", reply.error);
    this.saved.textContent = reply.saved ? `saved ${reply.saved}` : reply.error ? "not saved" : "";
    if (reply.state) this.update(reply.state);
  }

  async export() {
    try {
      const { reply } = await this.link.ask({ kind: "export", format: this.format.value });
      this.say(reply.error ?? `written beside the project: ${reply.exported}`, reply.error);
    } catch { /* nobody answered, and the link has said so */ }
  }

  toggleOthers() {
    this.showOthers = !this.showOthers;
    const names = this.state.others.map(([name]) => name);
    const text = names.length ? `grey strips, top to bottom: ${names.join(", ")}` : "nobody else annotated this clip";
    this.say(this.showOthers ? text : "");
    this.refresh();
  }

  toggleHelp() {
    this.help.hidden = !this.help.hidden;
    (this.help.hidden ? this.root : this.help.querySelector("button")).focus({ preventScroll: true });
  }

  // ---- second pass: one segment after the other, accept it or change it ----

  toggleReview() {
    this.reviewOn = !this.reviewOn;
    this.reviewing = this.changing = null;
    if (this.reviewOn) this.nextReview(1);
    this.refresh();
  }

  /** Go to the segment to review after the place where we are, or before it; around the ends too. */
  nextReview(direction) {
    const place = ([name, start]) => start * this.facts.lanes.length + this.rowOf(name);
    const left = [...this.state.unreviewed].sort((a, b) => place(a) - place(b));
    const here = this.lastReviewed ?? -1;
    const found = direction > 0 ? left.find((one) => place(one) > here) ?? left[0]
      : left.findLast((one) => place(one) < here) ?? left.at(-1);
    this.reviewing = found ?? null;
    this.changing = null;
    this.comment.value = "";
    if (found) {
      this.lastReviewed = place(found);
      this.lane = this.rowOf(found[0]);
      this.setRange(found.slice(1));
      this.player.seek(found[1]);
    }
    this.refresh();
  }

  async accept() {
    if (!this.reviewing) { this.say("press R and choose what to review: N, P"); return; }
    const [lane, start, stop] = this.reviewing;
    const accepted = await this.edit({ kind: "accept", lane, start, stop, comment: this.comment.value.trim() });
    if (accepted) this.nextReview(1);
  }

  /** What is said of the segment is kept together with the edit that follows, or not at all. */
  needsChange() {
    if (!this.reviewing) { this.say("press R and choose what to review: N, P"); return; }
    this.changing = [...this.reviewing, this.comment.value.trim()];
    this.say("now correct it: choose lane and range, then mark or clear");
    this.refresh();
  }

  // ---- how it is shown ----

  update(state) {
    this.state = state;
    this.refresh();
  }

  draw(bitmap, error) {
    if (error) { this.say(error, true); return; }
    this.picture.width = bitmap.width;
    this.picture.height = bitmap.height;
    this.picture.getContext("2d").drawImage(bitmap, 0, 0);
    this.root.dataset.shown = this.player.shown + 1;
    this.showTags();
    this.moved();
  }

  /** The annotation of the frame that is seen, on the picture. */
  showTags() {
    this.chips.replaceChildren(...this.activeAt(this.player.shown).map(({ name, title }) =>
      element("span", { class: "afk-chip" }, element("b", { text: name }), title ? ` ${title}` : "")));
  }

  moved() {
    const { player, facts, buttons } = this, frame = player.frame;
    const time = clockText(frame / facts.fps, 2);
    this.clock.textContent = `${time}  frame ${frame + 1} of ${facts.num_frames}`;
    buttons.play.textContent = player.playing ? "❚❚" : "▶";
    retitle(buttons.play, player.playing ? "Pause (Space)" : "Play (Space)");
    this.timeline.follow(frame);
    this.timeline.draw();
  }

  refresh() {
    const { buttons, state, player, range } = this;
    const pressed = (button, on) => button.setAttribute("aria-pressed", String(Boolean(on)));
    this.lanes.forEach((button, row) => pressed(button, row === this.lane));
    pressed(buttons.loop, player.loop);
    pressed(buttons.others, this.showOthers);
    pressed(buttons.review, this.reviewOn);
    pressed(buttons.change, this.changing);
    buttons.undo.disabled = !state.can_undo;
    buttons.redo.disabled = !state.can_redo;
    buttons.accept.disabled = buttons.change.disabled = this.comment.disabled = !this.reviewing;
    const length = range && range[1] - range[0];
    this.span.textContent = range ? `range ${range[0] + 1}–${range[1]} (${length} frames)` : "this frame only";
    this.reviewText.textContent = this.reviewLine();
    if (player.shown >= 0) this.showTags();
    this.moved();
  }

  reviewLine() {
    const left = this.state.unreviewed.length, all = this.state.segments.length;
    if (this.reviewing) {
      const [name, start, stop] = this.reviewing;
      return `${name}, frames ${start + 1}–${stop}; ${left} to review`;
    }
    return `to review: ${left} of ${all} segments`;
  }

  say(text, isError = false) {
    this.message.textContent = text;
    this.message.classList.toggle("afk-error", Boolean(isError));
  }

  connected(yes) {
    const again = yes && !this.offline.hidden;
    this.offline.hidden = yes;
    this.message.hidden = !yes;
    if (again) this.player.catchUp(); // the picture that did not come
  }
}

/** Keys belong to the tool while the focus is in it. Jupyter listens at the document, so we listen before it: one
    letter pressed here must never delete a cell. Keys with Ctrl or Alt that are not ours go on to Jupyter. */
function keyListener(root, tool) {
  return (event) => {
    const target = event.composedPath()[0];
    if (!root.contains(target)) return;
    const ctrl = event.ctrlKey || event.metaKey;
    if (target.matches("input, select")) { // letters are text here
      if (event.key === "Escape") root.focus({ preventScroll: true });
      if (!ctrl) event.stopImmediatePropagation();
      return;
    }
    const name = (ctrl ? "ctrl+" : "") + (event.shiftKey ? "shift+" : "") + event.key.toLowerCase();
    const isPress = target.matches("button") && (event.key === " " || event.key === "Enter");
    const row = /^[1-9]$/.test(name) ? Number(name) - 1 : -1;
    if (KEYS[name] && !isPress && !event.altKey) {
      event.preventDefault();
      tool.actions[KEYS[name]]();
    } else if (row >= 0 && row < tool.facts.lanes.length) tool.chooseLane(row);
    else if (ctrl || event.altKey || (event.key.length > 1 && !isPress)) return;
    event.stopImmediatePropagation();
  };
}

/** The first answer. A kernel that is busy with another cell lets us wait, so ask until it comes. */
async function opened(link, signal) {
  while (!signal.aborted) {
    try {
      return await link.ask({ kind: "open" });
    } catch { // the link has said that nobody answers
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
  }
  return null;
}

async function start(link, root, signal) {
  const { reply, buffers } = (await opened(link, signal)) ?? { reply: { error: "" } };
  if (reply.error !== undefined) { root.textContent = reply.error; return null; }
  const floats = (view) => new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
  const traces = buffers.length === 2 ? buffers.map(floats) : null; // valence and arousal
  const tool = new Tool(link, root, reply.facts, reply.state, traces);
  window.addEventListener("keydown", keyListener(root, tool), { capture: true, signal });
  // A click on a button leaves the keys to the whole tool, else Space would press that button again.
  const takeFocus = () => root.focus({ preventScroll: true });
  root.addEventListener("click", (event) => {
    if (event.detail > 0 && !event.target.closest("input, select")) takeFocus();
  });
  root.addEventListener("change", (event) => { if (event.target.matches("select")) takeFocus(); });
  return tool;
}

/** Ask now and then whether somebody else wrote, and whether the kernel still answers. */
function keepAsking(link, tool, root) {
  let asked = 0, waiting = false;
  return setInterval(async () => {
    const now = performance.now();
    if (document.hidden || tool.player.playing || !root.isConnected) return;
    if (waiting && now - asked < ASK_AGAIN_MS) return; // the kernel may be busy: leave no heap of questions
    [asked, waiting] = [now, true];
    try {
      const { reply } = await link.ask({ kind: "poll", revision: tool.state.revision });
      waiting = false;
      if (reply.error) tool.say(reply.error, true);
      else if (reply.state) tool.update(reply.state);
    } catch { /* nobody answered, and the link has said so */ }
  }, POLL_MS);
}

function render({ model, el }) {
  const attributes = { tabindex: "0", role: "application", "aria-label": "Annotation tool; ? shows its keys" };
  const root = element("div", { class: "afk", text: "opening…", ...attributes });
  el.append(root);
  const ending = new AbortController();
  let tool = null, timer = null;
  const onConnected = (yes) => {
    if (tool) tool.connected(yes);
    else if (!yes) root.textContent = NOT_CONNECTED;
  };
  const link = new Link(model, onConnected, (reply) => { if (reply.saved) tool?.edited(reply); });
  start(link, root, ending.signal).then((made) => {
    tool = made;
    if (tool && !ending.signal.aborted) timer = keepAsking(link, tool, root);
  });
  return () => {
    ending.abort();
    clearInterval(timer);
    tool?.player.pause();
    tool?.timeline.observer.disconnect();
    link.close();
  };
}

export default { render };
