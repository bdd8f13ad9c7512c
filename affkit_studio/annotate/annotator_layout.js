// Part 4 of the annotation tool: its elements. What they do is said in part 5.

const SPEEDS = [0.25, 0.5, 1, 1.5, 2];

// Action to what its button says and what it explains, with the key.
const BUTTONS = {
  first: ["|◀", "First frame (Home)"],
  back10: ["−10", "Ten frames back (Shift+←)"],
  back: ["−1", "One frame back (←)"],
  play: ["▶", "Play (Space)"],
  forward: ["+1", "One frame on (→)"],
  forward10: ["+10", "Ten frames on (Shift+→)"],
  last: ["▶|", "Last frame (End)"],
  previous: ["‹ seg", "Previous start of a segment (P)"],
  next: ["seg ›", "Next start of a segment (N)"],
  loop: ["loop", "Loop the range (L)"],
  in: ["start here", "Range starts at this frame (I)"],
  out: ["end here", "Range ends at this frame (O)"],
  release: ["✕", "Release the range (Esc)"],
  others: ["others", "Show other annotators (V)"],
  zoomOut: ["−", "Zoom out (−)"],
  zoomIn: ["+", "Zoom in (+)"],
  zoomAll: ["all", "Whole clip (0)"],
  mark: ["mark", "Mark the chosen lane (M)"],
  clear: ["clear", "Clear the chosen lane (X)"],
  undo: ["undo", "Undo (Ctrl+Z)"],
  redo: ["redo", "Redo (Ctrl+Y)"],
  review: ["review", "Second pass on or off (R)"],
  accept: ["accept", "Accept this segment (A)"],
  change: ["change", "This segment needs a change (C)"],
  export: ["export", "Write a file beside the project"],
  help: ["? keys", "Keys (?)"],
};

const HELP = [
  ["Space", "play or pause"],
  ["← →", "one frame; with Shift ten"],
  ["Home, End", "first, last frame"],
  ["N, P", "next, previous segment"],
  ["[ ]", "slower, faster"],
  ["L", "loop the range"],
  ["I, O", "range starts, ends here"],
  ["Esc", "let go of the range"],
  ["1 … 8, ↑ ↓", "choose the lane"],
  ["M", "mark the range or frame"],
  ["X, Delete", "clear the range or frame"],
  ["Ctrl+Z, Ctrl+Y", "undo, redo"],
  ["V", "show other annotators"],
  ["+ − 0", "zoom in, out, all"],
  ["R", "second pass on or off"],
  ["A", "accept what is reviewed"],
  ["C", "it needs a change"],
  ["?", "this card"],
];

/** Makes all elements of the tool, puts them into its root, and returns those that change. */
function layOut(root, facts, actions, timeline, { onLane, onSpeed }) {
  const parts = { buttons: {} };
  const button = (name) => {
    const [text, title] = BUTTONS[name];
    const on = { click: () => actions[name]() };
    return (parts.buttons[name] = element("button", { type: "button", class: `afk-do-${name}`, text, title, on }));
  };
  const group = (...names) => block("afk-group", ...names.map(button));
  const wide = (...names) => block("afk-group afk-wide", ...names.map(button));

  parts.speed = choice("Speed ([ slower, ] faster)", SPEEDS.map((speed) => [String(speed), `${speed}×`]), onSpeed);
  parts.speed.value = "1";
  parts.clock = element("span", { class: "afk-clock" });
  parts.span = element("span", { class: "afk-range" });
  parts.saved = element("span", { class: "afk-saved", role: "status" });
  parts.message = element("span", { class: "afk-message", role: "status" });
  parts.offline = element("span", { class: "afk-message afk-error", role: "alert", text: NOT_CONNECTED });
  parts.offline.hidden = true;
  parts.help = helpCard(actions.help);
  const task = facts.task === "au" ? "action units" : "expressions";
  root.replaceChildren(
    block("afk-row afk-head",
      element("b", { text: facts.video }),
      element("span", { text: `${facts.annotator} · ${task}` }),
      block("afk-group afk-right", parts.saved, button("help"))),
    block("afk-top", stage(parts), side(parts, facts, button, wide, onLane)),
    block("afk-row afk-transport",
      group("first", "back10", "back", "play", "forward", "forward10", "last"),
      group("previous", "next"),
      block("afk-group", parts.speed, button("loop")),
      parts.clock),
    block("afk-row",
      group("in", "out", "release"),
      parts.span,
      block("afk-group afk-right", ...["others", "zoomOut", "zoomIn", "zoomAll"].map(button))),
    timeline.canvas,
    block("afk-row afk-foot", parts.message, parts.offline),
    parts.help,
  );
  return parts;
}

function stage(parts) {
  parts.picture = element("canvas", { class: "afk-picture", role: "img", "aria-label": "The clip" });
  parts.chips = block("afk-chips");
  return block("afk-stage", parts.picture, parts.chips);
}

function side(parts, facts, button, wide, onLane) {
  parts.lanes = facts.lanes.map(({ name, title }, row) => {
    const label = `Choose ${[name, title].filter(Boolean).join(", ")} (${row + 1})`;
    return element("button", { type: "button", class: "afk-lane", title: label, on: { click: () => onLane(row) } },
      element("kbd", { text: String(row + 1) }), element("b", { text: name }), element("span", { text: title }));
  });
  parts.format = choice("Format of the export", facts.exports);
  parts.reviewText = element("div", { class: "afk-review-text", role: "status" });
  parts.comment = element("input", { type: "text", placeholder: "comment", title: "Comment", maxlength: "500" });
  return block("afk-side",
    block("afk-lanes", ...parts.lanes),
    wide("mark", "clear", "undo", "redo"),
    block("afk-review", parts.reviewText, parts.comment, wide("review", "accept", "change")),
    block("afk-group afk-wide", parts.format, button("export")));
}

function helpCard(onClose) {
  const rows = HELP.map(([keys, text]) => block("", element("kbd", { text: keys }), element("span", { text })));
  const close = element("button", { type: "button", text: "close", title: "Close (Esc)", on: { click: onClose } });
  const card = block("afk-card", element("b", { text: "Keys" }), block("afk-keys", ...rows), close);
  const node = element("div", { class: "afk-overlay", role: "dialog", "aria-label": "Keys" }, card);
  node.hidden = true;
  return node;
}
