// What the pages of the kit have in common: questions to the kernel, and how elements are made. Part 1 of each.

const ANSWER_MS = 3000; // a kernel that says nothing for so long is taken for gone, until it answers
const NOT_CONNECTED = "not connected: your last saved change is kept";

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

/** Questions to the kernel and their answers, told apart by tokens: several pages may share one kernel. */
class Link {
  constructor(model, onConnected, onLate) {
    Object.assign(this, { model, onConnected, onLate });
    this.page = Math.random().toString(36).slice(2);
    this.asked = 0;
    this.waiting = new Map();
    this.listener = (reply, buffers) => this.receive(reply, buffers);
    model.on("msg:custom", this.listener);
  }

  /** Resolves to {reply, buffers}; rejects when no answer came in time. */
  ask(message, { buffers = [], wait = ANSWER_MS } = {}) {
    const token = `${this.page}:${this.asked++}`;
    return new Promise((resolve, reject) => {
      const late = () => { this.waiting.delete(token); this.onConnected(false); reject(new Error(NOT_CONNECTED)); };
      this.waiting.set(token, { resolve, timer: setTimeout(late, wait) });
      try { this.model.send({ ...message, token }, undefined, buffers); } catch { /* the channel is closed: the timer tells */ }
    });
  }

  receive(reply, buffers) {
    if (!String(reply.token).startsWith(`${this.page}:`)) return;
    this.onConnected(true);
    const asked = this.waiting.get(reply.token);
    if (!asked) { this.onLate(reply); return; }
    clearTimeout(asked.timer);
    this.waiting.delete(reply.token);
    asked.resolve({ reply, buffers });
  }

  close() {
    this.model.off("msg:custom", this.listener);
    for (const { timer } of this.waiting.values()) clearTimeout(timer);
  }
}

/** A new element: `text` only ever becomes text, `title` is also what a screen reader says, `on` are listeners. */
function element(tag, options = {}, ...children) {
  const { text, title, on = {}, ...attributes } = options;
  const node = document.createElement(tag);
  if (text !== undefined) node.textContent = text;
  if (title) retitle(node, title);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  for (const [name, listener] of Object.entries(on)) node.addEventListener(name, listener);
  node.append(...children);
  return node;
}

function retitle(node, title) {
  node.title = title;
  node.setAttribute("aria-label", title);
}

const block = (name, ...children) => element("div", { class: name }, ...children);

function choice(title, options, onChoice = () => {}) {
  const node = element("select", { title }, ...options.map(([value, text]) => element("option", { value, text })));
  node.addEventListener("change", () => onChoice(node.value));
  return node;
}
