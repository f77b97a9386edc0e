"use strict";
// The asset graph, inputs left of what reads them. Layers by longest path; long edges get a place of their own in each layer
// that they cross, so that they run between the boxes; order by barycentres; heights by their neighbours' mean.

const boxWidth = 176;
const boxHeight = 46;
const layerGap = 62;
const kindColors = {source: "teal", table: "blue", "feature view": "purple", model: "orange"};
const stateTexts = {fresh: "up to date", stale: "changed since its last run", never: "never run", failed: "failed in its last run"};

function layerOf(assets) {
  const byName = new Map(assets.map((a) => [a.name, a]));
  const layers = new Map();
  const visit = (asset, depth) => {
    if (layers.has(asset.name)) return layers.get(asset.name);
    const inputs = asset.inputs.map((name) => byName.get(name)).filter((a) => a && depth < 1000);
    const layer = inputs.length === 0 ? 0 : 1 + Math.max(...inputs.map((a) => visit(a, depth + 1)));
    layers.set(asset.name, layer);
    return layer;
  };
  for (const asset of assets) visit(asset, 0);
  return layers;
}

/// layers: [[{asset | null, from: [], to: [], y}]]; edges: [{source, target, through: [node]}]
function layOut(assets) {
  const layerNumbers = layerOf(assets);
  const layers = Array.from({length: 1 + Math.max(0, ...layerNumbers.values())}, () => []);
  const nodes = new Map();
  const add = (asset, layer) => {
    const node = {asset, layer, from: [], to: [], y: 0, height: asset ? boxHeight + 16 : 18};
    layers[layer].push(node);
    return node;
  };
  for (const asset of assets) nodes.set(asset.name, add(asset, layerNumbers.get(asset.name)));
  const edges = [];
  for (const asset of assets) {
    for (const input of asset.inputs) {
      if (!nodes.has(input)) continue;
      const through = [nodes.get(input)];
      for (let layer = through[0].layer + 1; layer < layerNumbers.get(asset.name); ++layer) through.push(add(null, layer));
      through.push(nodes.get(asset.name));
      for (let i = 0; i + 1 < through.length; ++i) {
        through[i].to.push(through[i + 1]);
        through[i + 1].from.push(through[i]);
      }
      edges.push({source: input, target: asset.name, through});
    }
  }
  order(layers);
  place(layers);
  return {layers, nodes, edges};
}

function mean(values) {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

function order(layers) {
  const number = (layer) => layer.forEach((node, i) => (node.position = (i + 0.5) / layer.length));
  layers.forEach(number);
  for (let sweep = 0; sweep < 12; ++sweep) {
    const down = sweep % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      for (const node of layer) {
        const beside = down ? node.from : node.to;
        node.wish = beside.length > 0 ? mean(beside.map((n) => n.position)) : node.position;
      }
      layer.sort((a, b) => a.wish - b.wish);
      number(layer);
    }
  }
}

function place(layers) {
  for (const layer of layers) {
    let y = 0;
    for (const node of layer) {
      node.y = y + node.height / 2;
      y += node.height;
    }
    for (const node of layer) node.y -= y / 2;
  }
  for (let sweep = 0; sweep < 30; ++sweep) {
    const down = sweep % 2 === 0;
    for (const layer of down ? layers : [...layers].reverse()) {
      for (const node of layer) {
        const beside = down ? node.from : node.to;
        node.wish = beside.length > 0 ? mean(beside.map((n) => n.y)) : node.y;
      }
      spread(layer);
    }
  }
  const top = Math.min(...layers.flat().map((n) => n.y - n.height / 2));
  for (const node of layers.flat()) node.y -= top;
}

/// Nodes as near as possible to their wishes without touching: pushed down from the top and up from the bottom, then the mean of both.
function spread(layer) {
  const downward = [];
  let free = -Infinity;
  for (const node of layer) {
    downward.push(Math.max(node.wish, free + node.height / 2));
    free = downward.at(-1) + node.height / 2;
  }
  free = Infinity;
  for (let i = layer.length - 1; i >= 0; --i) {
    const upward = Math.min(layer[i].wish, free - layer[i].height / 2);
    free = upward - layer[i].height / 2;
    layer[i].y = (downward[i] + upward) / 2;
  }
}

function reachable(start, next) {
  const seen = new Set([start]);
  const queue = [start];
  while (queue.length > 0) {
    for (const name of next(queue.pop())) {
      if (seen.has(name)) continue;
      seen.add(name);
      queue.push(name);
    }
  }
  return seen;
}

function assetGraph(assets) {
  const {layers, nodes, edges} = layOut(assets);
  const x = (node) => 2 + node.layer * (boxWidth + layerGap);
  const width = layers.length * (boxWidth + layerGap) - layerGap + 4;
  const height = Math.max(...layers.flat().map((n) => n.y + n.height / 2)) + 2;
  const root = svg("svg", {width, height, viewBox: `0 0 ${width} ${height}`, class: "graph", role: "img", "aria-label": "assets and what they read"});
  // Shrinks to the page, but not so far that names can't be read; then it scrolls.
  root.style.minWidth = `${Math.min(width, Math.max(320, width * 0.72))}px`;
  root.style.height = "auto";

  const drawn = [];
  for (const edge of edges) {
    let path = "";
    for (let i = 0; i + 1 < edge.through.length; ++i) {
      const [a, b] = [edge.through[i], edge.through[i + 1]];
      const from = x(a) + boxWidth;
      const to = x(b);
      const bend = (to - from) / 2;
      path += `${i === 0 ? `M${from} ${a.y}` : `L${from} ${a.y}`}C${from + bend} ${a.y} ${to - bend} ${b.y} ${to} ${b.y}`;
    }
    const line = svg("path", {d: path, class: "edge"});
    drawn.push({edge, line});
    root.append(line);
  }
  const boxes = new Map();
  for (const [name, node] of nodes) {
    const box = assetBox(node.asset, x(node), node.y - boxHeight / 2);
    boxes.set(name, box);
    root.append(box);
    const upstream = reachable(name, (n) => assets.find((a) => a.name === n)?.inputs || []);
    const downstream = reachable(name, (n) => assets.filter((a) => a.inputs.includes(n)).map((a) => a.name));
    const focus = (on) => {
      root.classList.toggle("focus", on);
      for (const [other, element] of boxes) element.classList.toggle("on", on && (upstream.has(other) || downstream.has(other)));
      for (const {edge, line} of drawn) {
        const inside = (set) => set.has(edge.source) && set.has(edge.target);
        line.classList.toggle("on", on && (inside(upstream) || inside(downstream)));
      }
    };
    for (const event of ["pointerenter", "focus"]) box.addEventListener(event, () => focus(true));
    for (const event of ["pointerleave", "blur"]) box.addEventListener(event, () => focus(false));
  }
  return element("div", {class: "scroll"}, root);
}

function assetBox(asset, x, y) {
  const letters = 21;
  const name = asset.name.length > letters ? `${asset.name.slice(0, letters - 1)}…` : asset.name;
  const detail = asset.rows !== null && asset.rows !== undefined ? `${asset.kind} · ${format.count(asset.rows)} rows` : asset.kind;
  const box = svg("g", {class: `node ${kindColors[asset.kind] || "grey"}`, transform: `translate(${x} ${y})`, tabindex: 0},
    svg("rect", {class: "box", width: boxWidth, height: boxHeight, rx: 8}),
    svg("path", {class: "stripe", d: `M8 0H5V${boxHeight}H8A8 8 0 0 1 0 ${boxHeight - 8}V8A8 8 0 0 1 8 0Z`}),
    svg("text", {class: "title", x: 16, y: 20}, name),
    svg("text", {class: "kind", x: 16, y: 36}, detail),
    stateSign(asset.state, boxWidth - 16, 15));
  withTip(box, () => [element("b", {}, asset.name), element("p", {}, asset.file), pair("state", stateTexts[asset.state] || asset.state),
    asset.clock ? pair("brought up to", format.time(asset.clock)) : null, asset.reason ? element("p", {}, asset.reason) : null]);
  return box;
}

/// A sign by shape as well as colour: tick, ring, dashed ring, cross.
function stateSign(state, x, y) {
  if (state === "fresh") return svg("path", {d: `M${x - 5} ${y}l3.5 3.5l6.5 -7.5`, class: "line teal"});
  if (state === "failed") return svg("g", {class: "red"}, crossMark(x, y));
  return svg("circle", {cx: x, cy: y, r: 4.2, class: `line ${state === "stale" ? "orange" : "grey"}`, "stroke-dasharray": state === "stale" ? null : "2 3"});
}
