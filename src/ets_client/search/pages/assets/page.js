// The page's state, and what mouse and keys do to it.
const tree = readTree(JSON.parse(document.getElementById("data").textContent));
const app = document.getElementById("app");
const isLarge = tree.nodes.length > 1200;
const view = {
  mode: isLarge ? "compact" : "cards",
  pruned: isLarge || tree.nodes.length <= 200,
  closed: new Set(), // nodes whose subtree is folded away
  opened: new Set(), // nodes whose pruned children are shown though others are not
  focus: tree.root,
  scale: 1,
  stretch: 1, // of the columns' distance, so that a whole wide tree fills the view
};
const winner = tree.data.winner;
const chosen = chosenPaths(tree, winner);
let layout = null;
let shown = tree.root; // whom the panel shows
let hits = new Set();
let drawn = null; // what is on the screen
let lit = []; // of it, what has been marked

const canvas = element("svg", { class: "tree", role: "tree", "aria-label": "Search tree" });
const levels = html("div", { class: "levels" });
const scroller = html("div", { class: "view", tabindex: "-1" }, levels, canvas);
const side = html("aside", { class: "side", "aria-label": "Details", "aria-live": "polite" });
const found = html("output", {});
const help = html(
  "dialog",
  { "aria-label": "Keys" },
  keyList(),
  html("form", { method: "dialog" }, html("button", {}, "close")),
);

function toggle(label, isOn, flip) {
  const button = html("button", { type: "button", "aria-pressed": String(isOn()) }, label);
  button.addEventListener("click", () => {
    flip();
    refresh();
  });
  toggles.push(() => button.setAttribute("aria-pressed", String(isOn())));
  return button;
}
const toggles = [];

const search = html("input", { type: "search", placeholder: "find text or id", "aria-label": "Find a node" });
const legend = html("span", { class: "legend" });
app.replaceChildren(
  html(
    "section",
    { class: "forest", "aria-label": "The tree" },
    html(
      "div",
      { class: "tools" },
      toggle(
        "cards",
        () => view.mode === "cards",
        () => {
          view.mode = "cards";
          view.stretch = 1;
        },
      ),
      toggle(
        "compact",
        () => view.mode === "compact",
        () => {
          view.mode = "compact";
        },
      ),
      toggle(
        "pruned",
        () => view.pruned,
        () => {
          view.pruned = !view.pruned;
          view.opened.clear();
        },
      ),
      html(
        "button",
        { type: "button", "aria-label": "smaller", title: "smaller (-)", onclick: () => zoom(view.scale / 1.25) },
        "−",
      ),
      html(
        "button",
        { type: "button", "aria-label": "larger", title: "larger (+)", onclick: () => zoom(view.scale * 1.25) },
        "+",
      ),
      html("button", { type: "button", title: "all of it (0)", onclick: fit }, "fit"),
      search,
      found,
      html("span", { class: "gap" }),
      legend,
      html("button", { type: "button", onclick: saveTree }, "save SVG"),
      html("button", { type: "button", class: "quiet", "aria-label": "keys", onclick: () => help.showModal() }, "?"),
    ),
    scroller,
  ),
  side,
  help,
);

function keyList() {
  const keys = [
    ["←  →", "to the parent, to the best child"],
    ["↑  ↓", "up and down in the column"],
    ["Enter", "fold or unfold what is below"],
    ["n", "next answer"],
    ["p", "pruned nodes on or off"],
    ["c", "cards or compact"],
    ["+  −  0", "larger, smaller, all of it"],
    ["/", "find"],
    ["Home", "to the root"],
    ["?", "this list"],
  ];
  return html("dl", {}, ...keys.flatMap(([key, what]) => [html("dt", {}, html("kbd", {}, key)), html("dd", {}, what)]));
}

function drawLegend() {
  const ramp = html("canvas", { width: 90, height: 1, role: "img", "aria-label": "colours of the scores" });
  const brush = ramp.getContext("2d");
  const [low, high] = tree.range;
  for (let x = 0; x < 90; x += 1) {
    brush.fillStyle = scoreColour(low + ((high - low) * x) / 89, tree.range);
    brush.fillRect(x, 0, 1, 1);
  }
  legend.replaceChildren(
    html("span", {}, "score"),
    html("span", {}, figure(low)),
    ramp,
    html("span", {}, figure(high)),
  );
}

function refresh() {
  layout = layOut(tree, view);
  canvas.setAttribute("viewBox", `0 0 ${layout.width} ${layout.height}`);
  canvas.setAttribute("width", layout.width * view.scale);
  canvas.setAttribute("height", layout.height * view.scale);
  levels.style.width = `${layout.width * view.scale}px`;
  levels.replaceChildren(
    ...layout.columns.map((column, depth) =>
      levelHead(tree, depth, layout.size.column * view.scale, view.scale, () => showDecision(depth)),
    ),
  );
  for (const each of toggles) each();
  if (!layout.of.has(view.focus)) view.focus = tree.root;
  paint();
}

function paint() {
  const { scrollLeft, scrollTop, clientWidth, clientHeight } = scroller;
  const margin = 300;
  const window = {
    left: (scrollLeft - margin) / view.scale,
    right: (scrollLeft + clientWidth + margin) / view.scale,
    top: (scrollTop - margin) / view.scale,
    bottom: (scrollTop + clientHeight + margin) / view.scale,
  };
  const hadFocus = canvas.contains(document.activeElement);
  drawn = drawTree(tree, layout, view, chosen, window);
  canvas.replaceChildren(...drawn.parts);
  lit = [];
  light();
  if (hadFocus) shapeOf(view.focus)?.focus({ preventScroll: true });
}

const shapeOf = (node) => drawn.shapes.get(node.number);

// The path to what the panel shows, in the accent colour; who has the focus; what was searched for.
function light() {
  for (const each of lit) {
    each.classList.remove("lit", "focus", "found");
    if (each.dataset.node) each.setAttribute("tabindex", "-1");
  }
  lit = [];
  const mark = (shape, name) => {
    if (!shape) return;
    shape.classList.add(name);
    lit.push(shape);
  };
  for (const node of pathTo(shown)) {
    mark(shapeOf(node), "lit");
    mark(drawn.edges.get(node.number), "lit");
  }
  for (const node of hits) mark(shapeOf(node), "found");
  mark(shapeOf(view.focus), "focus");
  shapeOf(view.focus)?.setAttribute("tabindex", "0");
}

function fit() {
  view.stretch = 1;
  refresh();
  const height = (scroller.clientHeight - levels.offsetHeight) / layout.height;
  const scale = Math.min(1, scroller.clientWidth / layout.width, height);
  const stretch = scroller.clientWidth / layout.width / scale;
  zoom(scale, view.mode === "compact" ? Math.max(1, 0.96 * stretch) : 1);
}

// What is in the middle stays there.
function zoom(scale, stretch = view.stretch) {
  const old = view.scale;
  const x = (scroller.scrollLeft + scroller.clientWidth / 2) / old,
    y = (scroller.scrollTop + scroller.clientHeight / 2) / old;
  view.scale = Math.min(3, Math.max(0.05, scale));
  view.stretch = stretch;
  refresh();
  scroller.scrollLeft = x * view.scale - scroller.clientWidth / 2;
  scroller.scrollTop = y * view.scale - scroller.clientHeight / 2;
  paint();
}

function showDecision(depth) {
  side.replaceChildren(...decisionDetails(tree, depth, select));
}

function show(node) {
  shown = node;
  side.replaceChildren(...nodeDetails(tree, node, select));
  light();
}

function reveal(node) {
  let changed = false;
  for (const above of pathTo(node).slice(0, -1)) {
    changed = view.closed.delete(above) || changed;
    if (!view.pruned && !layout.of.has(node) && !view.opened.has(above)) {
      view.opened.add(above);
      changed = true;
    }
  }
  if (changed) refresh();
  const item = layout.of.get(node);
  const [left, top] = [item.x * view.scale, item.y * view.scale];
  const [right, bottom] = [left + layout.size.width * view.scale, top + layout.size.height * view.scale];
  const height = scroller.clientHeight - levels.offsetHeight;
  if (left < scroller.scrollLeft) scroller.scrollLeft = left - 24;
  if (right > scroller.scrollLeft + scroller.clientWidth) scroller.scrollLeft = right - scroller.clientWidth + 24;
  if (top < scroller.scrollTop) scroller.scrollTop = top - 40;
  if (bottom > scroller.scrollTop + height) scroller.scrollTop = bottom - height + 40;
}

function select(node, keepsAddress = false) {
  view.focus = node;
  reveal(node);
  if (!shapeOf(node)) paint();
  show(node);
  shapeOf(node)?.focus({ preventScroll: true });
  if (!keepsAddress) history.replaceState(null, "", `#${node.id}`);
}

function fold(node) {
  if (!node.children.length) return;
  if (!view.closed.delete(node)) view.closed.add(node);
  refresh();
}

canvas.addEventListener("click", (event) => {
  const folded = event.target.closest("[data-fold]");
  if (folded) {
    const node = tree.nodes[folded.dataset.fold];
    view.opened.add(node);
    refresh();
    select(node.children.find((child) => child.pruned) ?? node);
    return;
  }
  const at = event.target.closest("[data-node]");
  if (at) select(tree.nodes[at.dataset.node]);
});
canvas.addEventListener("dblclick", (event) => {
  const at = event.target.closest("[data-node]");
  if (at) fold(tree.nodes[at.dataset.node]);
});
canvas.addEventListener("pointerover", (event) => {
  const at = event.target.closest("[data-node]");
  if (at && tree.nodes[at.dataset.node] !== shown) show(tree.nodes[at.dataset.node]);
});
canvas.addEventListener("pointerleave", () => show(view.focus));

function neighbour(node, step) {
  const column = layout.columns[node.depth].filter((item) => !item.fold);
  return column[column.findIndex((item) => item.node === node) + step]?.node;
}

function nextAnswer() {
  const answers = layout.items.filter((item) => !item.fold && item.node.kind !== "step").map((item) => item.node);
  return answers[(answers.indexOf(view.focus) + 1) % answers.length];
}

const KEYS = {
  ArrowLeft: () => view.focus.parent,
  ArrowRight: () =>
    layout.columns[view.focus.depth + 1]?.find((item) => !item.fold && item.node.parent === view.focus)?.node,
  ArrowUp: () => neighbour(view.focus, -1),
  ArrowDown: () => neighbour(view.focus, 1),
  Home: () => tree.root,
  n: nextAnswer,
};

document.addEventListener("keydown", (event) => {
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    help.open ||
    event.target.closest("input, aside, .tools, header")
  )
    return;
  if (event.key in KEYS) {
    const node = KEYS[event.key]();
    if (node) select(node);
  } else if (event.key === "Enter" && event.target.closest("[data-node], body")) {
    if (event.target.closest("button, a, summary")) return;
    fold(view.focus);
    shapeOf(view.focus)?.focus({ preventScroll: true });
  } else if (event.key === "p") {
    view.pruned = !view.pruned;
    refresh();
  } else if (event.key === "c") {
    view.mode = view.mode === "cards" ? "compact" : "cards";
    refresh();
    select(view.focus);
  } else if (event.key === "+" || event.key === "-") zoom(view.scale * (event.key === "+" ? 1.25 : 0.8));
  else if (event.key === "0") fit();
  else if (event.key === "/") search.focus();
  else if (event.key === "?") help.showModal();
  else return;
  event.preventDefault();
});

search.addEventListener("input", () => {
  const wanted = search.value.trim().toLowerCase();
  hits = new Set(
    wanted
      ? tree.nodes.filter(
          (node) => node.id === wanted || tree.data.nodes.text[node.number].toLowerCase().includes(wanted),
        )
      : [],
  );
  found.textContent = wanted ? `${hits.size} found` : "";
  light();
});
search.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !hits.size) return;
  const all = [...hits];
  select(all[(all.indexOf(view.focus) + 1) % all.length]);
  search.focus();
});

function saveTree() {
  save(asFile(tree, layout, view, chosen), `question-${tree.data.number + 1}.svg`);
}

let isWaiting = false;
function repaint() {
  if (isWaiting) return;
  isWaiting = true;
  requestAnimationFrame(() => {
    isWaiting = false;
    paint();
  });
}
scroller.addEventListener("scroll", repaint, { passive: true });
new ResizeObserver(repaint).observe(scroller);
addEventListener("hashchange", () => select(nodeOfAddress() ?? tree.root, true));

function nodeOfAddress() {
  const id = decodeURIComponent(location.hash.slice(1));
  return tree.nodes.find((node) => node.id === id);
}

drawLegend();
refresh();
if (nodeOfAddress()) select(nodeOfAddress(), true);
else {
  scroller.scrollTop = Math.max(0, layout.of.get(tree.root).y - scroller.clientHeight / 2);
  show(tree.root);
}
document.documentElement.dataset.ready = "yes"; // the tree is there
