// The panel beside the tree: all that is known of a node or a decision.
function html(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function plain(value) {
  if (value === null || value === undefined) return document.createTextNode("–");
  if (typeof value !== "object") return document.createTextNode(String(value));
  if (Array.isArray(value) && value.every((each) => each === null || typeof each !== "object")) {
    return document.createTextNode(value.join(", ") || "–");
  }
  const list = html("dl", { class: "plain" });
  for (const [key, each] of Object.entries(value)) list.append(html("dt", {}, key), html("dd", {}, plain(each)));
  return list;
}

// What was sent, under the names that the journal has.
function requestOf(tree, node) {
  const columns = tree.data.nodes;
  const { plan, ...sampling } = tree.data.requests[columns.request[node.number]];
  const seed = columns.seed[node.number];
  if (seed !== null && seed !== undefined) sampling.seed = seed;
  const ids = pathTo(node.parent).flatMap((above) => unpackIds(columns.ids[above.number]));
  return { rid: columns.rid[node.number], plan, input_ids: ids, sampling };
}

function requestText(request) {
  const short = { ...request, input_ids: `[${request.input_ids.length} ids]` };
  return JSON.stringify(short, null, 2).replace(/"(\[\d+ ids\])"/, "$1");
}

function copyButton(text) {
  const button = html("button", { type: "button", class: "quiet" }, "copy with ids");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text());
      button.textContent = "copied";
    } catch {
      button.textContent = "this browser does not let a file copy";
    }
  });
  return button;
}

function scoreBars(tree, node, select) {
  const bars = html("div", { class: "scores" });
  const [low, high] = tree.range;
  for (const each of pathTo(node).slice(1)) {
    const bar = html("button", {
      type: "button",
      "aria-label": `step ${each.depth}: score ${figure(each.score)}`,
      title: `step ${each.depth}: ${figure(each.score)}`,
    });
    bar.style.height = `${each.score === null ? 3 : 4 + (36 * (each.score - low)) / (high - low || 1)}px`;
    bar.style.background = scoreColour(each.score, tree.range);
    bar.addEventListener("click", () => select(each));
    bars.append(bar);
  }
  return bars;
}

function nodeDetails(tree, node, select) {
  const columns = tree.data.nodes;
  const at = node.number;
  const found = tree.data.classes[node.class];
  const chips = html("p", {});
  const chip = (text, kind = "") => chips.append(html("span", { class: `chip ${kind}` }, text), " ");
  if (found)
    chip(`answer ${columns.answer[at]}${found.right === null ? "" : found.right ? " ✓ right" : " ✗ wrong"}`, node.kind);
  if (found) chip(`${counted(found.votes, "vote")} for it`);
  if (node.kept) chip(`kept, given ${node.given}`, "kept");
  else if (node.pruned)
    chip(node.state === 2 ? "no tokens left" : node.state === 1 ? "ended without an answer" : "pruned");
  if (node.multiplicity > 1) chip(`sampled ${node.multiplicity} times`);
  if (node.parent === null) {
    return [
      html("h2", {}, "The prompt ", html("code", {}, "r")),
      chips,
      html("pre", {}, columns.text[0]),
      html("h3", {}, "As data"),
      html("pre", {}, `run.questions[${tree.data.number}].nodes["r"]`),
    ];
  }
  const path = pathTo(node).slice(1);
  const sent = columns.prompt[at],
    cached = columns.cached[at];
  const request = requestOf(tree, node);
  const figures = html("dl", { class: "plain" });
  const row = (name, value) => figures.append(html("dt", {}, name), html("dd", {}, value));
  row("score", columns.failure[at] ? `none: ${columns.failure[at]}` : figure(node.score));
  if (columns.logprob[at] !== null) row("mean log-probability", String(columns.logprob[at]));
  row("generated", `${columns.generated[at]} tokens, ended by ${tree.data.ends[columns.end[at]] || "?"}`);
  row("prompt", `${sent} tokens, ${sent ? ((100 * cached) / sent).toFixed(1) : 0} % reused, ${sent - cached} computed`);
  row("arrived", `${columns.at[at].toFixed(2)} s after the run began`);
  return [
    html("h2", {}, `Step ${node.depth} `, html("code", {}, node.id)),
    chips,
    html("pre", {}, columns.text[at], html("span", { class: "stop" }, visibleStop(columns.stop[at]))),
    html("h3", {}, "Scores of the path"),
    scoreBars(tree, node, select),
    figures,
    html(
      "details",
      {},
      html("summary", {}, `The path, ${counted(path.length, "step")}`),
      html("pre", {}, path.map((each) => columns.text[each.number] + columns.stop[each.number]).join("")),
    ),
    html(
      "h3",
      {},
      "The request ",
      copyButton(() => JSON.stringify(request)),
    ),
    html("pre", { class: "request" }, requestText(request)),
    html("h3", {}, "As data"),
    html("pre", {}, `run.questions[${tree.data.number}].nodes["${node.id}"]`),
  ];
}

function visibleStop(stop) {
  return stop.replace(/\n/g, "⏎");
}

function decisionDetails(tree, depth, select) {
  const decisions = tree.data.decisions.filter((decision) => decision.depth === depth);
  const parts = [html("h2", {}, `Level ${depth}`)];
  if (!decisions.length) parts.push(html("p", {}, "Nothing was decided here."));
  for (const decision of decisions) {
    const total = decision.children.reduce((sum, [, n]) => sum + n, 0);
    const said = total
      ? `${counted(total, "sample")} of ${counted(decision.children.length, "node")}; then ${counted(decision.kv, "token")} held`
      : "no samples";
    parts.push(html("h3", {}, `Decision ${decision.turn + 1}: ${said}`));
    if (Object.keys(decision.notes).length) parts.push(plain(decision.notes));
    const table = html(
      "table",
      {},
      html("tr", {}, html("th", {}, "node"), html("th", {}, "score"), html("th", {}, "samples")),
    );
    for (const [number, n] of [...decision.children].sort((one, two) => two[1] - one[1])) {
      const node = tree.nodes[number];
      const link = html(
        "a",
        {
          href: `#${node.id}`,
          onclick: (event) => {
            event.preventDefault();
            select(node);
          },
        },
        node.id,
      );
      table.append(
        html(
          "tr",
          {},
          html("td", {}, link),
          html("td", {}, node.parent ? figure(node.score) : ""),
          html("td", {}, String(n)),
        ),
      );
    }
    if (total) parts.push(table);
  }
  return parts;
}
