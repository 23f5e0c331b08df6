// The tree as objects, from the columns in the page's data.
function readTree(data) {
  const columns = data.nodes;
  const nodes = columns.parent.map((parent, number) => ({
    number,
    parent: parent < 0 ? null : parent,
    children: [],
    depth: 0,
    id: "r",
    score: columns.score[number],
    state: columns.state[number],
    given: columns.given[number],
    class: columns.class[number],
    multiplicity: columns.multiplicity[number],
  }));
  for (const node of nodes) {
    if (node.parent === null) continue;
    node.parent = nodes[node.parent]; // parents come before their children
    node.parent.children.push(node);
    node.depth = node.parent.depth + 1;
    node.id = `${node.parent.id}.${columns.place[node.number]}`;
  }
  const decided = new Set(data.decisions.map((decision) => decision.depth));
  for (const node of nodes) {
    const found = data.classes[node.class];
    node.kind = found ? { true: "right", false: "wrong", null: "open" }[found.right] : "step";
    node.kept = node.given > 0;
    node.pruned =
      node.kind === "step" && node.parent !== null && !node.kept && (node.state !== 0 || decided.has(node.depth));
  }
  for (const node of [...nodes].reverse()) {
    node.below = node.children.reduce((sum, child) => sum + child.below, node.multiplicity);
    node.children.sort(byMerit);
  }
  return { data, nodes, root: nodes[0], depth: Math.max(...nodes.map((node) => node.depth)), range: scoreRange(nodes) };
}

// Those that live first, then the best.
function byMerit(one, two) {
  if (one.pruned !== two.pruned) return one.pruned ? 1 : -1;
  return (two.score ?? -Infinity) - (one.score ?? -Infinity) || one.number - two.number;
}

function scoreRange(nodes) {
  const scores = nodes.filter((node) => node.parent && node.score !== null).map((node) => node.score);
  if (!scores.length) return [0, 1];
  const low = scores.reduce((a, b) => Math.min(a, b));
  const high = scores.reduce((a, b) => Math.max(a, b));
  return low >= 0 && high <= 1 ? [0, 1] : [low, high]; // probabilities of all pages have one scale
}

function pathTo(node) {
  const path = [];
  for (let at = node; at; at = at.parent) path.unshift(at);
  return path;
}

// Viridis: even steps for the eye, also for those who do not tell red from green.
const STOPS = [
  [68, 1, 84],
  [72, 40, 120],
  [62, 74, 137],
  [49, 104, 142],
  [38, 130, 142],
  [31, 158, 137],
  [53, 183, 121],
  [110, 206, 88],
  [181, 222, 43],
  [253, 231, 37],
];

function scoreColour(score, [low, high]) {
  if (score === null) return "#9aa3ae";
  const share = high > low ? Math.min(1, Math.max(0, (score - low) / (high - low))) : 1;
  const at = share * (STOPS.length - 1);
  const place = Math.min(STOPS.length - 2, Math.floor(at));
  const mix = STOPS[place].map((value, channel) =>
    Math.round(value + (STOPS[place + 1][channel] - value) * (at - place)),
  );
  return `rgb(${mix.join(", ")})`;
}

function unpackIds(packed) {
  const ids = [];
  let value = 0,
    shift = 0;
  for (const character of atob(packed)) {
    const byte = character.charCodeAt(0);
    value += (byte & 0x7f) * 2 ** shift;
    shift += 7;
    if (byte < 0x80) {
      ids.push(value);
      value = 0;
      shift = 0;
    }
  }
  return ids;
}
