// The tree as a file for a paper: SVG on white, with its colours in it, since few drawing programs know CSS variables.
function styleFor(css) {
  const names = new Map(
    [...css.matchAll(/(--[\w-]+): light-dark\(([^,]+),[^)]*\)/g)].map((match) => [match[1], match[2]]),
  );
  const rules = css
    .match(/svg\.tree (?!\{)[^{}]*\{[^}]*\}/g)
    .join("\n")
    .replaceAll("svg.tree ", "");
  return { rules: rules.replace(/var\((--[\w-]+)\)/g, (whole, name) => names.get(name) ?? whole), names };
}

function asFile(tree, layout, view, chosen) {
  const { rules, names } = styleFor(document.querySelector("style").textContent);
  const drawing = element("svg", {
    xmlns: SVG,
    width: layout.width,
    height: layout.height,
    viewBox: `0 0 ${layout.width} ${layout.height}`,
  });
  drawing.append(element("style", {}, rules), element("rect", { width: "100%", height: "100%", fill: "#ffffff" }));
  drawing.append(...drawTree(tree, layout, { ...view, focus: null }, chosen, null).parts);
  const text = new XMLSerializer().serializeToString(drawing);
  return text.replace(/var\((--[\w-]+)\)/g, (whole, name) => names.get(name) ?? whole);
}

function save(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
  const link = html("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
