// The head of a level: how many samples, what became of them, and their tokens.

// room: pixels to the next column.
function levelHead(tree, depth, room, scale, click) {
  const columns = tree.data.nodes;
  const all = tree.nodes.filter((node) => node.depth === depth);
  const count = (test) => all.filter(test).reduce((sum, node) => sum + node.multiplicity, 0);
  const sum = (name) => all.reduce((total, node) => total + columns[name][node.number], 0);
  const kept = count((node) => node.kept);
  const answers = count((node) => node.kind !== "step");
  const parts = [
    ["kept", kept],
    ...["right", "wrong", "open"].map((kind) => [kind, count((node) => node.kind === kind && !node.kept)]),
    ["pruned", count((node) => node.kind === "step" && !node.kept)],
  ];
  const samples = count(() => true);
  const tokens = sum("generated"),
    prompt = sum("prompt"),
    cached = sum("cached");
  const said =
    depth === 0
      ? counted(tree.data.decisions.length, "decision")
      : [counted(samples, "sample"), kept ? `${kept} kept` : "", answers ? counted(answers, "answer") : ""]
          .filter(Boolean)
          .join(", ");
  const spent = `${counted(tokens, "token")}${prompt ? `, ${((100 * cached) / prompt).toFixed(1)} % reused` : ""}`;
  const isSmall = room < 160;
  const head = html(
    "button",
    { type: "button", class: "level", title: `level ${depth}: ${said}; ${spent}. Click for the decision.` },
    html("b", {}, isSmall ? `${depth}` : `level ${depth}`),
    html("small", {}, room < 70 ? "" : isSmall ? ` ${samples}` : ` ${said}`),
    html("br"),
    html("small", {}, !depth || room < 50 ? "\u00a0" : isSmall ? `${tokens.toLocaleString("en")} tok` : spent),
    bar(parts),
    depth
      ? bar([
          ["tokens", tokens],
          ["rest", mostTokens(tree) - tokens],
        ])
      : null,
  );
  head.style.left = `${12 * scale + depth * room}px`;
  head.style.width = `${room - Math.min(10, room / 5)}px`;
  head.addEventListener("click", click);
  return head;
}

function mostTokens(tree) {
  if (!tree.mostTokens) {
    const sums = new Map();
    for (const node of tree.nodes) {
      sums.set(node.depth, (sums.get(node.depth) ?? 0) + tree.data.nodes.generated[node.number]);
    }
    tree.mostTokens = Math.max(1, ...sums.values());
  }
  return tree.mostTokens;
}

function bar(parts) {
  const total = parts.reduce((sum, [, value]) => sum + value, 0) || 1;
  const drawing = element("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
  let left = 0;
  for (const [kind, value] of parts) {
    const width = (100 * value) / total;
    if (value > 0) drawing.append(element("rect", { class: kind, x: left, width, height: 10 }));
    left += width;
  }
  return drawing;
}
