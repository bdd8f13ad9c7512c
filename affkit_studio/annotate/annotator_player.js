// Part 2 of the annotation tool: where we are in the clip.

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
    this.catchUp();
  }

  async catchUp() {
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
    this.catchUp();
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
    this.catchUp();
    requestAnimationFrame(() => this.tick());
  }
}
