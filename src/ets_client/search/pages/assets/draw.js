// The tree as SVG. Only what can be seen is drawn, unless all is asked for.
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function cut(text, length) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length <= length ? line : `${line.slice(0, length - 1)}…`;
}

function counted(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function figure(score) {
  if (score === null) return "no score";
  if (score !== 0 && Math.abs(score) < 0.005) return score.toPrecision(1);
  return Math.abs(score) < 10 ? score.toFixed(2) : score.toFixed(1);
}

function labelOf(tree, node) {
  if (node.parent === null) return "The question";
  const found = tree.data.classes[node.class];
  const answer = found
    ? `, answers ${tree.data.nodes.answer[node.number]}${found.right === null ? "" : found.right ? ", right" : ", wrong"}`
    : "";
  const fate = node.kept ? `, given ${node.given}` : node.pruned ? ", pruned" : "";
  const score = node.score === null ? "no score" : `score ${figure(node.score)}`;
  return `${tree.data.nodes.text[node.number] || "empty step"}; ${score}${answer}${fate}`;
}

function drawEdge(tree, item, layout, chosen) {
  const { size } = layout;
  const from = item.parent;
  const x1 = from.x + size.width,
    x2 = item.x;
  const y1 = from.y + size.height / 2,
    y2 = item.y + size.height / 2;
  const middle = (x1 + x2) / 2;
  const faded = item.fold || (item.node.pruned && !item.node.children.length);
  const share = item.fold ? item.fold : item.node.below;
  const width = Math.max(0.8, Math.min(6, 0.6 + 5 * Math.sqrt(share / tree.root.below)));
  const edge = element("path", {
    class: `edge${faded ? " pruned" : ""}${!item.fold && chosen.has(item.node) ? ` chosen ${chosen.get(item.node)}` : ""}`,
    d: `M${x1} ${y1.toFixed(1)}C${middle} ${y1.toFixed(1)} ${middle} ${y2.toFixed(1)} ${x2} ${y2.toFixed(1)}`,
    "stroke-width": width.toFixed(1),
  });
  return edge;
}

function drawFold(item, layout) {
  const { size } = layout;
  const group = element("g", {
    class: "node fold",
    role: "button",
    tabindex: "-1",
    transform: `translate(${item.x} ${item.y.toFixed(1)})`,
  });
  group.dataset.fold = item.node.number;
  group.setAttribute("aria-label", `show ${item.fold} pruned`);
  const small = size.height < 20;
  group.append(
    element("rect", {
      class: "box",
      width: small ? size.width : 110,
      height: small ? size.height : 22,
      y: small ? 0 : 9,
      rx: small ? 3 : 11,
    }),
  );
  if (!small) group.append(element("text", { x: 12, y: 24 }, `${item.fold} pruned`));
  group.append(element("title", {}, `${item.fold} pruned; click to show them`));
  return group;
}

function drawNode(tree, item, layout, view) {
  const { node } = item;
  const { size } = layout;
  const columns = tree.data.nodes;
  const kind = `${node.kind}${node.pruned && !node.children.length ? " pruned" : ""}`;
  const group = element("g", {
    class: `node ${kind}`,
    role: "treeitem",
    tabindex: "-1",
    "aria-level": node.depth + 1,
    "aria-label": labelOf(tree, node),
    transform: `translate(${item.x} ${item.y.toFixed(1)})`,
  });
  group.dataset.node = node.number;
  if (node.children.length) group.setAttribute("aria-expanded", String(!view.closed.has(node)));
  const colour = node.parent === null ? "var(--accent)" : scoreColour(node.score, tree.range);
  if (view.mode === "compact") {
    group.append(element("rect", { class: "box", width: size.width, height: size.height, rx: 2.5 }));
    group.append(element("rect", { x: 1, y: 1, width: size.width - 2, height: size.height - 2, rx: 2, fill: colour }));
    if (node.kind !== "step")
      group.append(element("text", { class: "sign", x: size.width + 3, y: size.height + 0.5 }, SIGNS[node.kind]));
    group.append(element("title", {}, labelOf(tree, node)));
    return group;
  }
  group.append(element("rect", { class: "box", width: size.width, height: size.height, rx: 6 }));
  group.append(element("rect", { width: 6, height: size.height - 8, x: 4, y: 4, rx: 3, fill: colour }));
  const sign = SIGNS[node.kind];
  const text =
    node.parent === null
      ? "the prompt"
      : node.kind === "step"
        ? columns.text[node.number]
        : `= ${columns.answer[node.number]}`;
  group.append(element("text", { class: "line", x: 17, y: 17 }, cut(text, sign ? 26 : 29) || "(empty)"));
  if (sign) group.append(element("text", { class: "sign", x: size.width - 18, y: 18 }, sign));
  const figures =
    node.parent === null
      ? [`${unpackIds(columns.ids[0]).length} tokens`]
      : [figure(node.score), `${columns.generated[node.number]} tok`];
  if (node.multiplicity > 1) figures.push(`×${node.multiplicity}`);
  if (node.kept) figures.push(`→ ${node.given}`);
  if (node.state === 2) figures.push("no room left");
  if (view.closed.has(node)) figures.push(`+${node.below - node.multiplicity} below`);
  group.append(element("text", { class: "figures", x: 17, y: 32 }, figures.join("  ·  ")));
  return group;
}

const SIGNS = { right: "✓", wrong: "✗", open: "•", step: "" };

// Paths to the answers that won.
function chosenPaths(tree, answer) {
  const chosen = new Map();
  const won = tree.nodes.filter((node) => node.class >= 0 && node.class === answer);
  for (const leaf of won) for (const node of pathTo(leaf)) chosen.set(node, leaf.kind);
  return chosen;
}

// window: {left, top, right, bottom} in the drawing's own pixels, or null for all of it. What is drawn is found in
// `shapes` and `edges` by the node's number.
function drawTree(tree, layout, view, chosen, window) {
  const seen = (item) =>
    !window ||
    (item.x + layout.size.column > window.left &&
      item.x < window.right &&
      item.y + layout.size.height > window.top &&
      item.y < window.bottom);
  const edges = element("g"),
    nodes = element("g");
  const drawn = { parts: [edges, nodes], shapes: new Map(), edges: new Map() };
  for (const item of layout.items) {
    if (item.parent) {
      const isNear =
        !window ||
        (item.x > window.left &&
          item.parent.x < window.right &&
          Math.max(item.y, item.parent.y) + layout.size.height > window.top &&
          Math.min(item.y, item.parent.y) < window.bottom);
      if (isNear) {
        const edge = drawEdge(tree, item, layout, chosen);
        edges.append(edge);
        if (!item.fold) drawn.edges.set(item.node.number, edge);
      }
    }
    if (!seen(item) && item.node !== view.focus) continue;
    const shape = item.fold ? drawFold(item, layout) : drawNode(tree, item, layout, view);
    nodes.append(shape);
    if (!item.fold) drawn.shapes.set(item.node.number, shape);
  }
  return drawn;
}
