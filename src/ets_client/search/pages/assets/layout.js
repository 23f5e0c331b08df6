// Where everything stands: depth is the column, order in a column is that of the parents, so that no edges cross.
const SIZES = {
  cards: { width: 212, height: 40, gap: 8, group: 8, column: 272 },
  compact: { width: 14, height: 8, gap: 3, group: 3, column: 84 },
};

// What is shown: nodes, and in place of hidden ones a fold that says how many.
function visibleItems(tree, view) {
  const columns = [];
  let level = [{ node: tree.root, parent: null }];
  while (level.length) {
    columns.push(level);
    const next = [];
    for (const item of level) {
      if (item.fold || view.closed.has(item.node)) continue;
      const showsPruned = view.pruned || view.opened.has(item.node);
      const shown = item.node.children.filter((child) => showsPruned || !child.pruned || child.children.length);
      for (const child of shown) next.push({ node: child, parent: item });
      const hidden = item.node.children.length - shown.length;
      if (hidden) next.push({ node: item.node, fold: hidden, parent: item });
    }
    level = next;
  }
  return columns;
}

// The places nearest to the wanted ones that keep order and distance: isotonic regression by pooling neighbours.
function spread(wanted, weights, steps) {
  const offsets = [];
  let sum = 0;
  for (const step of steps) {
    sum += step;
    offsets.push(sum);
  }
  const pools = [];
  wanted.forEach((want, place) => {
    let pool = { value: want - offsets[place], weight: weights[place], count: 1 };
    while (pools.length && pools.at(-1).value > pool.value) {
      const last = pools.pop();
      const weight = last.weight + pool.weight;
      pool = {
        value: (last.value * last.weight + pool.value * pool.weight) / weight,
        weight,
        count: last.count + pool.count,
      };
    }
    pools.push(pool);
  });
  return pools.flatMap((pool) => Array(pool.count).fill(pool.value)).map((value, place) => value + offsets[place]);
}

function layOut(tree, view) {
  const base = SIZES[view.mode];
  const size = { ...base, column: base.column * view.stretch, width: base.width * view.stretch };
  const columns = visibleItems(tree, view);
  const steps = (column) =>
    column.map((item, place) =>
      place === 0 ? 0 : size.height + size.gap + (column[place - 1].parent === item.parent ? 0 : size.group),
    );
  const widest = columns.reduce((best, column, place) => (column.length > columns[best].length ? place : best), 0);
  place(
    columns[widest],
    spread(
      columns[widest].map(() => 0),
      columns[widest].map(() => 1),
      steps(columns[widest]),
    ),
  );
  for (let depth = widest - 1; depth >= 0; depth -= 1) {
    // to the middle of the children
    const below = new Map();
    for (const item of columns[depth + 1]) below.set(item.parent, [...(below.get(item.parent) ?? []), item.y]);
    let near = columns[depth + 1][0]?.y ?? 0;
    const wanted = columns[depth].map((item) => {
      const ys = below.get(item);
      if (ys) near = (ys[0] + ys.at(-1)) / 2;
      return near;
    });
    place(
      columns[depth],
      spread(
        wanted,
        columns[depth].map((item) => (below.has(item) ? 1 : 0.01)),
        steps(columns[depth]),
      ),
    );
  }
  for (let depth = widest + 1; depth < columns.length; depth += 1) {
    // around the parent
    const counts = new Map(),
      seen = new Map();
    for (const item of columns[depth]) counts.set(item.parent, (counts.get(item.parent) ?? 0) + 1);
    const wanted = columns[depth].map((item) => {
      const rank = seen.get(item.parent) ?? 0;
      seen.set(item.parent, rank + 1);
      return item.parent.y + (rank - (counts.get(item.parent) - 1) / 2) * (size.height + size.gap);
    });
    place(
      columns[depth],
      spread(
        wanted,
        wanted.map(() => 1),
        steps(columns[depth]),
      ),
    );
  }
  const items = columns.flat();
  const top = items.reduce((least, item) => Math.min(least, item.y), Infinity) - 14;
  for (const item of items) item.y -= top;
  const height = items.reduce((most, item) => Math.max(most, item.y), 0) + size.height + 24;
  columns.forEach((column, depth) =>
    column.forEach((item) => {
      item.x = 16 + depth * size.column;
    }),
  );
  const of = new Map(items.filter((item) => !item.fold).map((item) => [item.node, item]));
  return { size, columns, items, of, height, width: 32 + (columns.length - 1) * size.column + size.width + 24 };
}

function place(column, ys) {
  column.forEach((item, index) => {
    item.y = ys[index];
  });
}
