// Part 4 of the latent browser: the panels below the face.

const POLL_WORK_MS = 250;
const NEIGHBOURS_MS = 300; // how long a face must rest before its neighbours are drawn

/** One at a time: asks for work that takes long, says how far it is, shows what came out. */
class Panels {
  constructor(browser) {
    Object.assign(this, { browser, size: browser.facts.size, film: new Film() });
    this.build();
  }

  get link() { return this.browser.link; }
  get parts() { return this.browser.parts; }
  say(text, isError) { this.browser.say(text, isError); }

  build() {
    const { panels } = this.parts, { facts } = this.browser;
    const names = facts.directions.map(({ name }) => [name, name]);
    const first = (wanted, other) => facts.directions.some(({ name }) => name === wanted) ? wanted : other;
    this.across = choice("Direction from left to right", names, () => this.neighbours());
    this.down = choice("Direction from top to bottom", names, () => this.neighbours());
    this.across.value = first("valence", names[0][0]);
    this.down.value = first("AU4", names.at(-1)[0]);
    this.grid = block("afl-grid");
    panels.neighbours.append(
      block("afl-row", "from left to right", this.across, "from top to bottom", this.down, this.button("show", "Show the neighbours of this face", () => this.neighbours())),
      this.note("A step of 1.5 along each. Click a face to go there."), this.grid);
    this.kept = block("afl-pictures");
    panels.favourites.append(
      block("afl-row", this.button("film between the chosen", "Film from each chosen face to the next, along an arc", () => this.walk())),
      this.note(`Kept in ${facts.folder}. Click a face to go there; choose two or more for a film.`), this.kept);
    const save = (format, text) => this.button(text, `Write the film as ${text} beside the favourites`, () => this.save(format));
    panels.film.append(
      block("afl-row", this.film.button, save("gif", "GIF"), save("mp4", "MP4"), save("png", "film strip (PNG)")),
      this.note("Play a film with ▶ beside a slider, between favourites, or from a clip."),
      block("afl-film", this.film.canvas, this.film.strip));
    this.training = this.workPanel(panels.training, facts.near, "find the nearest", "training faces were not given: open the browser with --data STORE",
      "Is this a memorized training face? The nearest training faces by the features of a network, one per person.", () => this.nearest());
    this.photo = element("input", { type: "file", accept: "image/jpeg,image/png,image/webp", title: "A photograph" });
    this.photo.addEventListener("change", () => this.project());
    this.projected = this.workPanel(panels.photo, facts.projects, this.photo, "no feature network was given: open the browser with --features FILE",
      "The z whose face is most like the one in the picture, by gradient descent. The picture stays on this machine.");
    this.clip = choice("Clip", facts.clips.map((name) => [name, name]));
    this.played = this.workPanel(panels.clip, facts.clips.length && facts.seeks, "play", "no clips were given: open the browser with --labels DIR",
      "The face follows the valence and arousal of the clip as far as it can: dashed the values of the clip, blue the predictions.", () => this.playClip(), this.clip);
    this.moved = choice("Direction that is moved", names);
    this.leaked = this.workPanel(panels.leaks, true, "measure", "",
      "What a step along a direction does to locked predictions of 50 other faces, in standard deviations of the prediction: with the lock it should be nearer to 0.",
      () => this.leaks(), this.moved);
    this.open("neighbours");
  }

  button(text, title, onClick) { return element("button", { type: "button", text, title, on: { click: onClick } }); }
  note(text) { return element("p", { class: "afl-note", text }); }

  /** A panel whose work takes a while; `action` is the text of its button, or another control. */
  workPanel(panel, there, action, missing, about, onStart, ...controls) {
    const result = block("afl-result"), bar = element("progress", { "aria-label": "how far it is" });
    bar.hidden = true;
    const start = typeof action === "string" ? this.button(action, about, onStart) : action;
    if (!there) panel.append(this.note(missing));
    else panel.append(block("afl-row", ...controls, start, bar), this.note(about), result);
    return { result, bar };
  }

  open(name) {
    for (const [own, tab] of Object.entries(this.parts.tabs)) {
      tab.setAttribute("aria-selected", String(own === name));
      this.parts.panels[own].hidden = own !== name;
    }
    this.shown = name;
    if (name === "neighbours") this.neighbours();
    if (name === "favourites") this.list({ kind: "favourites" });
  }

  /** Called when the face has changed; a slider that is still moved must not wait for nine other faces. */
  changed() {
    clearTimeout(this.later);
    if (this.shown === "neighbours") this.later = setTimeout(() => this.neighbours(), NEIGHBOURS_MS);
  }

  /** Ask, and show an error; null if there was one. */
  async ask(message, options) {
    try {
      const { reply, buffers } = await this.link.ask(message, options);
      if (reply.error) { this.say(reply.error, true); return null; }
      return { reply, bytes: buffers.length ? asBytes(buffers[0]) : null };
    } catch { return null; /* nobody answered, and the link has said so */ }
  }

  async neighbours() {
    if (this.asking) { this.again = true; return; }
    this.asking = true;
    const found = await this.ask({ kind: "neighbours", across: this.across.value, down: this.down.value, step: 1.5 });
    this.asking = false;
    if (this.again) { this.again = false; this.neighbours(); return; }
    if (!found) return;
    const cells = [...Array(9).keys()].map((index) => {
      const label = index === 4 ? "this face" : `Go to the neighbour in row ${1 + Math.floor(index / 3)}, column ${1 + index % 3}`;
      const cell = element("button", { type: "button", class: "afl-picture", title: label }, painted(found.bytes, this.size, index, label));
      cell.addEventListener("click", (event) => this.browser.change(`neighbour`, { kind: "neighbour", index }, event.timeStamp));
      return cell;
    });
    const focused = [...this.grid.children].indexOf(document.activeElement?.closest?.(".afl-grid > button"));
    this.grid.replaceChildren(...cells);
    if (focused >= 0) cells[focused].focus({ preventScroll: true });
  }

  async list(message) {
    const found = await this.ask(message);
    if (!found) return false;
    const chosen = new Set([...this.kept.querySelectorAll("input:checked")].map((box) => box.value));
    this.kept.replaceChildren(...found.reply.favourites.map((name, index) => {
      const go = element("button", { type: "button", class: "afl-picture", title: `Go to ${name}` }, painted(found.bytes, this.size, index, name));
      go.addEventListener("click", (event) => this.browser.change("show", { kind: "show", name }, event.timeStamp));
      const box = element("input", { type: "checkbox", value: name, title: `Choose ${name} for a film` });
      box.checked = chosen.has(name);
      const remove = this.button("✕", `Remove ${name}`, () => this.list({ kind: "remove", name }));
      return block("afl-kept", go, element("span", { text: name, title: name }), block("afl-group", box, remove));
    }));
    if (!found.reply.favourites.length) this.kept.append(this.note("None yet: give this face a name, and keep it."));
    return true;
  }

  async keep(name) {
    if (await this.list({ kind: "keep", name })) this.say(`kept: ${name}`);
  }

  async walk() {
    const names = [...this.kept.querySelectorAll("input:checked")].map((box) => box.value);
    this.showFilm(await this.ask({ kind: "walk", names }));
  }

  async along(name) { this.showFilm(await this.ask({ kind: "along", name })); }

  showFilm(found, how) {
    if (!found) return;
    this.open("film");
    this.film.show(found.bytes, this.size, found.reply.frames, how);
  }

  async save(format) {
    const found = await this.ask({ kind: "save", format }, { wait: 60_000 });
    if (found) this.say(`written beside the favourites: ${found.reply.saved}`);
  }

  /** Start work and wait for its end; null if it failed. */
  async work(bar, message, buffers = []) {
    this.say("");
    bar.removeAttribute("value");
    bar.hidden = false;
    let found = await this.ask({ kind: "start", ...message }, { buffers });
    while (found) {
      found = await this.ask({ kind: "job" });
      if (!found || !found.reply.running) break;
      if (found.reply.of) { bar.max = found.reply.of; bar.value = found.reply.done; }
      await new Promise((resolve) => setTimeout(resolve, POLL_WORK_MS));
    }
    bar.hidden = true;
    return found;
  }

  figures(bytes, words) {
    return block("afl-pictures", ...words.map((text, index) => element("figure", { class: "afl-picture" },
      painted(bytes, this.size, index, text), element("figcaption", { text }))));
  }

  async nearest() {
    const { result, bar } = this.training, found = await this.work(bar, { work: "nearest" });
    if (!found?.reply.nearest) return;
    const { nearest, limit } = found.reply;
    const words = nearest.map(({ distance, who, copy }) => `${who}: ${distance.toFixed(2)}${copy ? ", as near as a copy" : ""}`);
    const about = limit === null ? "Distance of the features." : `Distance of the features; up to ${limit.toFixed(2)} it would be a copy.`;
    result.replaceChildren(this.note(about), this.figures(found.bytes, words));
  }

  async project() {
    const [file] = this.photo.files;
    if (!file) return;
    const { result, bar } = this.projected;
    const found = await this.work(bar, { work: "project", name: file.name }, [await file.arrayBuffer()]);
    this.photo.value = "";
    if (!found?.reply.projected) return;
    const { pixel_error, pixel_ratio, feature_ratio, start_ratio } = found.reply.projected;
    const percent = (fraction) => `${Math.round(100 * fraction)}%`;
    result.replaceChildren(
      this.note(`What is left: ${pixel_error.toFixed(1)} grey levels; ${percent(pixel_ratio)} of the difference of two random faces in pixels`
        + ` (the best of 512 random faces: ${percent(start_ratio)}), ${percent(feature_ratio)} in features.`),
      this.figures(found.bytes, ["the face in the picture", "the generator's nearest"]),
      block("afl-row", this.button("go there", "Show this face above", (event) => this.browser.change("found", { kind: "found" }, event.timeStamp))));
  }

  async playClip() {
    const { result, bar } = this.played, found = await this.work(bar, { work: "clip", name: this.clip.value });
    if (!found?.reply.wanted) return;
    const { wanted, read, miss } = found.reply, plane = this.browser.plane;
    plane.paths = { wanted, read };
    plane.draw();
    result.replaceChildren(this.note(`On average the prediction misses valence by ${miss[0].toFixed(2)} and arousal by ${miss[1].toFixed(2)}.`));
    this.showFilm(found, { loop: "round", fps: 10 });
  }

  async leaks() {
    const { result, bar } = this.leaked, found = await this.work(bar, { work: "leaks", name: this.moved.value });
    if (!found?.reply.leaks) return;
    const number = (value) => (value >= 0 ? "+" : "−") + Math.abs(value).toFixed(2);
    const row = (cells, tag = "td") => element("tr", {}, ...cells.map((text) => element(tag, { text })));
    result.replaceChildren(
      element("table", { class: "afl-table" },
        row(["prediction", "change without the lock", "with it", "on one face, without", "with it"], "th"),
        ...found.reply.leaks.map((one) => row([one.name, number(one.before), number(one.after), one.before_each.toFixed(2), one.after_each.toFixed(2)]))),
      this.note(`${Math.round(100 * found.reply.left)}% of the direction ${found.reply.moved} is left when the locked ones are taken out.`));
  }
}
