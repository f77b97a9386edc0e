"use strict";
// Elements, scales and small charts in SVG. Texts are always set as text, never as markup: data comes from files.

function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  for (const child of children.flat(3)) if (child !== null && child !== undefined && child !== "") node.append(child);
  return node;
}

// --- numbers and times as people read them

const format = {
  count: (n) => (n === null || n === undefined ? "–" : Math.round(n).toLocaleString("en-US")),
  share: (x) => (x === null || x === undefined ? "–" : x > 0 && x < 0.001 ? "< 0.1 %" : `${(x * 100).toFixed(x !== 0 && x !== 1 && Math.abs(x) < 0.0995 ? 1 : 0)} %`),
  metric: (x) => (x === null || x === undefined ? "–" : x.toFixed(3)),
  number(x) {
    if (x === null || x === undefined) return "–";
    if (typeof x !== "number") return String(x);
    const size = Math.abs(x);
    if (Number.isInteger(x) && size < 1e9) return x.toLocaleString("en-US", {useGrouping: size >= 1e4});
    if (size !== 0 && (size < 1e-3 || size >= 1e9)) return x.toExponential(2);
    return x.toLocaleString("en-US", {maximumSignificantDigits: size >= 1000 ? 6 : 4});
  },
  seconds: (s) => (s < 0.0995 ? `${(s * 1000).toFixed(0)} ms` : s < 60 ? `${s.toFixed(s < 10 ? 1 : 0)} s` : `${Math.floor(s / 60)} min ${Math.round(s % 60)} s`),
  day: (t) => new Date(t).toISOString().slice(0, 10),
  time(t) {
    const text = new Date(t).toISOString();
    return text.slice(11, 19) === "00:00:00" ? text.slice(0, 10) : `${text.slice(0, 10)} ${text.slice(11, 16)}`;
  },
};
const monthNames = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

// --- the tooltip

function showTip(event, ...content) {
  const tip = document.getElementById("tip");
  tip.replaceChildren(...content.flat(2).filter((c) => c !== null));
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  const left = event.clientX + 16 + box.width > window.innerWidth ? event.clientX - box.width - 12 : event.clientX + 16;
  const top = event.clientY + 14 + box.height > window.innerHeight ? event.clientY - box.height - 10 : event.clientY + 14;
  tip.style.left = `${Math.max(4, left) + window.scrollX}px`;
  tip.style.top = `${Math.max(4, top) + window.scrollY}px`;
}

function hideTip() {
  document.getElementById("tip").hidden = true;
}

function withTip(node, content) {
  node.addEventListener("pointermove", (event) => showTip(event, content()));
  node.addEventListener("pointerleave", hideTip);
  return node;
}

function pair(name, value, color) {
  const swatch = color ? svg("svg", {width: 10, height: 10, class: color}, svg("circle", {cx: 5, cy: 5, r: 4, class: "fill"})) : null;
  return element("div", {class: "pair"}, element("span", {}, swatch, name), element("span", {}, value));
}

// --- scales

function linear(from, to, low, high) {
  const span = to - from || 1;
  return (x) => low + ((x - from) / span) * (high - low);
}

function niceTicks(from, to, wanted) {
  const raw = (to - from) / Math.max(1, wanted);
  if (!(raw > 0)) return [from];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((m) => m * power).find((s) => s >= raw * 0.999);
  const ticks = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + step * 1e-9; ++i) ticks.push(i * step + 0);  // + 0: never -0
  return ticks;
}

/// The number of decimals at which all ticks can be told apart.
function decimalsOf(ticks) {
  const step = ticks.length > 1 ? ticks[1] - ticks[0] : 1;
  return Math.max(0, Math.min(6, -Math.floor(Math.log10(step) + 1e-9) + (/^[^1-9]*25/.test(String(step).replace(".", "")) ? 1 : 0)));
}

const dayMs = 86400000;

/// Ticks at whole days, weeks or months (UTC), at most about `wanted`.
function timeTicks(from, to, wanted) {
  const days = (to - from) / dayMs;
  const ticks = [];
  if (days >= 75) {
    const step = [1, 2, 3, 6, 12].find((m) => days / 30.4 / m <= wanted) || 12 * Math.ceil(days / 365 / wanted);
    const start = new Date(from);
    for (let month = start.getUTCMonth(); ; ++month) {
      const t = Date.UTC(start.getUTCFullYear(), month, 1);
      if (t > to) break;
      if (t < from || month % step !== 0) continue;
      const m = new Date(t).getUTCMonth();
      ticks.push({t, text: m === 0 || ticks.length === 0 ? `${monthNames[m]} ${new Date(t).getUTCFullYear()}` : monthNames[m]});
    }
    if (ticks.length > 0) return ticks;
  }
  const step = [1 / 24, 0.25, 1, 2, 7, 14, 28].find((d) => days / d <= wanted) || Math.ceil(days / wanted);
  for (let t = Math.ceil(from / (step * dayMs)) * step * dayMs; t <= to; t += step * dayMs) {
    const text = new Date(t).toISOString();
    ticks.push({t, text: step < 1 ? text.slice(11, 16) : `${monthNames[+text.slice(5, 7) - 1]} ${+text.slice(8, 10)}`});
  }
  return ticks.length > 0 ? ticks : [{t: from, text: format.day(from)}];
}

// --- drawing that follows the width of its place

const widthWatcher = new ResizeObserver((entries) => {
  for (const entry of entries) {
    const width = Math.floor(entry.contentRect.width);
    if (width <= 0 || width === entry.target.drawnWidth) continue;
    entry.target.drawnWidth = width;
    requestAnimationFrame(() => entry.target.replaceChildren(entry.target.draw(width)));
  }
});

function responsive(draw) {
  const place = element("div");
  place.draw = draw;
  widthWatcher.observe(place);
  return place;
}

// --- legend

const swatches = {
  line: (color) => svg("svg", {width: 20, height: 10, class: color}, svg("line", {x1: 1, x2: 19, y1: 5, y2: 5, class: "line"})),
  dash: (color) => svg("svg", {width: 20, height: 10, class: color}, svg("line", {x1: 1, x2: 19, y1: 5, y2: 5, class: "bound"})),
  dot: (color) => svg("svg", {width: 12, height: 12, class: color}, svg("circle", {cx: 6, cy: 6, r: 4.5, class: "fill"})),
  alert: () => svg("svg", {width: 14, height: 12, class: "red"}, triangle(7, 6)),
  retrained: () => svg("svg", {width: 12, height: 12, class: "purple"}, diamond(6, 6)),
  refused: () => svg("svg", {width: 12, height: 12, class: "grey"}, crossMark(6, 6)),
};

function legend(entries) {
  return element("div", {class: "legend"}, entries.map(([kind, color, text]) => element("span", {}, swatches[kind](color), text)));
}

function triangle(x, y) {
  return svg("path", {d: `M${x} ${y - 5.5}L${x + 5.5} ${y + 4.5}H${x - 5.5}Z`, class: "dot"});
}

function diamond(x, y) {
  return svg("path", {d: `M${x} ${y - 5.5}L${x + 5.5} ${y}L${x} ${y + 5.5}L${x - 5.5} ${y}Z`, class: "dot"});
}

function crossMark(x, y) {
  return svg("path", {d: `M${x - 4} ${y - 4}L${x + 4} ${y + 4}M${x - 4} ${y + 4}L${x + 4} ${y - 4}`, class: "line"});
}

// --- line chart
//
// series: [{name, color, points: [{x, y}], dots, area, dashed}]; y may be null (a gap)
// bounds: [{y, text, color}]; marks: [{x, text, color, refused, tip}] vertical lines; alerts: [{x, y}]
// time: x are milliseconds; domain: [x from, x to] and yDomain fixed, else from the data; diagonal: a line of reference

function lineChart(options) {
  return responsive((width) => drawLines(options, width));
}

function valueDomain(options) {
  if (options.yDomain) return options.yDomain;
  const values = options.series.flatMap((s) => s.points.map((p) => p.y)).concat((options.bounds || []).map((b) => b.y)).filter((y) => Number.isFinite(y));
  if (values.length === 0) return [0, 1];
  const low = Math.min(...values);
  const high = Math.max(...values);
  const margin = (high - low) * 0.12 || Math.abs(high) * 0.1 || 0.1;
  return [options.fromZero ? 0 : low - margin, high + margin];
}

function drawLines(options, width) {
  const height = options.square ? Math.min(width, 300) : options.height || 240;
  const marks = options.marks || [];
  const all = options.series.flatMap((s) => s.points);
  const xs = options.domain || [Math.min(...all.map((p) => p.x), ...marks.map((m) => m.x)), Math.max(...all.map((p) => p.x), ...marks.map((m) => m.x))];
  if (options.time && xs[0] === xs[1]) [xs[0], xs[1]] = [xs[0] - 3 * dayMs, xs[1] + 3 * dayMs];  // one tick so far
  const [low, high] = valueDomain(options);
  const yTicks = niceTicks(low, high, height / 52);
  const decimals = decimalsOf(yTicks);
  const yText = options.yFormat || ((y) => y.toFixed(decimals));
  const left = 12 + Math.max(...yTicks.map((t) => yText(t).length)) * 6.6;
  const top = marks.length > 0 ? 24 : 10;
  const bottom = height - (options.xLabel ? 40 : 24);
  const right = width - 12;
  const inset = options.time && !options.domain ? 10 : 0;
  const x = linear(xs[0], xs[1], left + inset, right - inset);
  const y = linear(low, high, bottom, top);
  const root = svg("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": options.label || ""});

  for (const t of yTicks) {
    root.append(svg("line", {x1: left, x2: right, y1: y(t), y2: y(t), class: "grid"}), svg("text", {x: left - 7, y: y(t) + 4, "text-anchor": "end", class: "axis"}, yText(t)));
  }
  const wanted = Math.max(2, Math.floor((right - left) / 70));
  const xTicks = options.time ? timeTicks(xs[0], xs[1], wanted) : niceTicks(xs[0], xs[1], Math.min(5, wanted)).map((t) => ({t, text: format.number(t)}));
  for (const {t, text} of xTicks) root.append(svg("text", {x: Math.max(left + 8, Math.min(x(t), right - 12)), y: bottom + 17, "text-anchor": "middle", class: "axis"}, text));
  root.append(svg("line", {x1: left, x2: right, y1: bottom, y2: bottom, class: "base"}));
  if (options.xLabel) root.append(svg("text", {x: (left + right) / 2, y: height - 6, "text-anchor": "middle", class: "small"}, options.xLabel));
  if (options.diagonal) root.append(svg("line", {x1: x(xs[0]), y1: y(low), x2: x(xs[1]), y2: y(high), class: "diagonal"}));

  drawMarks(root, marks, x, top, bottom);
  for (const bound of options.bounds || []) {
    root.append(svg("g", {class: bound.color || "red"}, svg("line", {x1: left, x2: right, y1: y(bound.y), y2: y(bound.y), class: "bound"})));
  }
  for (const series of options.series) drawSeries(root, series, x, y, bottom);
  for (const bound of options.bounds || []) {
    if (bound.text) root.append(svg("text", {x: right - 2, y: y(bound.y) - 5, "text-anchor": "end", class: "small halo"}, bound.text));
  }
  for (const alert of options.alerts || []) root.append(svg("g", {class: "red"}, triangle(x(alert.x), y(alert.y))));
  addCrosshair(root, options, {x, y, left, right, top, bottom, yText: options.tipFormat || options.yFormat || format.metric});
  return root;
}

function drawMarks(root, marks, x, top, bottom) {
  let free = -Infinity;  // the right end of the last label, so that labels do not run into each other
  for (const mark of marks) {
    const at = x(mark.x);
    const group = svg("g", {class: mark.color || "purple"}, svg("line", {x1: at, x2: at, y1: top, y2: bottom, class: "mark"}), mark.refused ? crossMark(at, top - 5) : diamond(at, top - 5));
    const half = 10 + mark.text.length * 6.2;
    if (at + 9 > free) {
      group.append(svg("text", {x: at + 8, y: top - 1, class: "small"}, mark.text));
      free = at + half;
    }
    if (mark.tip) withTip(group, mark.tip);
    root.append(group);
  }
}

function drawSeries(root, series, x, y, bottom) {
  const group = svg("g", {class: series.color});
  let run = [];
  const finish = () => {
    if (run.length > 1) {
      const path = run.map((p, i) => `${i === 0 ? "M" : "L"}${x(p.x).toFixed(1)} ${y(p.y).toFixed(1)}`).join("");
      if (series.area) group.append(svg("path", {d: `${path}L${x(run.at(-1).x)} ${bottom}L${x(run[0].x)} ${bottom}Z`, class: "area"}));
      group.append(svg("path", {d: path, class: "line", "stroke-dasharray": series.dashed ? "6 5" : null}));
    }
    if (series.dots || run.length === 1) for (const p of run) group.append(svg("circle", {cx: x(p.x), cy: y(p.y), r: series.dots === "small" && run.length > 1 ? 2.6 : 3.6, class: "dot"}));
    run = [];
  };
  for (const point of series.points) {
    if (Number.isFinite(point.y)) run.push(point);
    else finish();
  }
  finish();
  root.append(group);
}

function addCrosshair(root, options, frame) {
  const stops = [...new Set(options.series.flatMap((s) => s.points.map((p) => p.x)))].sort((a, b) => a - b);
  if (stops.length === 0) return;
  const line = svg("line", {y1: frame.top, y2: frame.bottom, class: "cross", visibility: "hidden"});
  const dots = svg("g");
  const area = svg("rect", {x: frame.left, y: frame.top, width: Math.max(0, frame.right - frame.left), height: frame.bottom - frame.top, fill: "transparent"});
  area.addEventListener("pointermove", (event) => {
    const at = event.clientX - root.getBoundingClientRect().left;
    const stop = stops.reduce((best, s) => (Math.abs(frame.x(s) - at) < Math.abs(frame.x(best) - at) ? s : best));
    line.setAttribute("x1", frame.x(stop));
    line.setAttribute("x2", frame.x(stop));
    line.setAttribute("visibility", "visible");
    const rows = [];
    dots.replaceChildren();
    for (const series of options.series) {
      const point = series.points.find((p) => p.x === stop);
      if (!point || !Number.isFinite(point.y)) continue;
      dots.append(svg("circle", {cx: frame.x(stop), cy: frame.y(point.y), r: 4.5, class: `dot ${series.color}`}));
      rows.push(pair(series.name, frame.yText(point.y), series.color));
      if (point.note) rows.push(element("p", {}, point.note));
    }
    const title = options.xText ? options.xText(stop) : options.time ? format.time(stop) : `${options.xLabel || "x"} ${format.number(stop)}`;
    showTip(event, element("b", {}, title), rows);
  });
  area.addEventListener("pointerleave", () => {
    line.setAttribute("visibility", "hidden");
    dots.replaceChildren();
    hideTip();
  });
  root.append(line, area, dots);
  dots.setAttribute("pointer-events", "none");
}

// --- heat map of drift: one row per column of data, one cell per tick; colour is distance / threshold

/// Below the threshold: cool and pale; above: warm, further away the stronger. Differs in lightness too, not only in hue.
function heatColor(ratio) {
  if (ratio <= 1) return `color-mix(in oklab, var(--cool-1) ${Math.round(Math.max(0, ratio) ** 2 * 100)}%, var(--cool-0))`;
  return `color-mix(in oklab, var(--warm-1) ${Math.round(Math.min(1, (ratio - 1) / 2) * 100)}%, var(--warm-0))`;
}

/// rows: [{name, cells: [{value, threshold, version} | null]}], ticks: [ms], marks as in lineChart
function heatMap({rows, ticks, marks}) {
  return responsive((width) => {
    const cell = 17;
    const labels = Math.min(width * 0.36, 12 + Math.max(...rows.map((r) => r.name.length)) * 6.7);
    const top = 22;
    const step = Math.min(32, (width - labels - 4) / ticks.length);
    const height = top + rows.length * cell + 24;
    const root = svg("svg", {width, height, viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "drift of each column over time"});
    rows.forEach((row, r) => {
      const y = top + r * cell;
      const letters = Math.floor((labels - 12) / 6.5);
      const text = row.name.length > letters ? `…${row.name.slice(-letters + 1)}` : row.name;
      root.append(svg("text", {x: labels - 8, y: y + 12.5, "text-anchor": "end"}, text));
      row.cells.forEach((c, i) => {
        if (c === null) return;
        const ratio = c.threshold > 0 ? c.value / c.threshold : c.value > 0 ? 3 : 0;
        const rect = svg("rect", {x: labels + i * step, y, width: Math.max(1, step - (step > 6 ? 1.5 : 0)), height: cell - 1.5, rx: step > 8 ? 2.5 : 0});
        rect.style.fill = heatColor(ratio);
        withTip(rect, () => [element("b", {}, row.name), element("p", {}, format.time(ticks[i])), pair("distance", c.value.toFixed(4)), pair("threshold", c.threshold.toFixed(4)),
          pair("against", `version ${c.version}`), ratio > 1 ? pair("drifted", "yes") : null]);
        root.append(rect);
      });
    });
    const middle = (t) => {
      const after = ticks.findIndex((x) => x >= t);
      return labels + (after < 0 ? ticks.length : after) * step - (step > 6 ? 0.75 : 0);
    };
    let free = -Infinity;
    for (const mark of marks || []) {
      const at = middle(mark.x);
      root.append(svg("g", {class: mark.color || "purple"}, svg("line", {x1: at, x2: at, y1: top - 4, y2: height - 24, class: "mark"})));
      if (at > free) root.append(svg("text", {x: at, y: top - 8, "text-anchor": "middle", class: "small"}, mark.text));
      free = Math.max(free, at + mark.text.length * 6 + 4);
    }
    const wanted = Math.max(1, Math.floor((step * ticks.length) / 64));
    for (let i = 0; i < ticks.length; i += Math.max(1, Math.ceil(ticks.length / wanted))) {
      const text = new Date(ticks[i]);
      root.append(svg("text", {x: labels + (i + 0.5) * step, y: height - 6, "text-anchor": "middle", class: "axis"}, `${monthNames[text.getUTCMonth()]} ${text.getUTCDate()}`));
    }
    return root;
  });
}

function heatScale() {
  const cells = [0, 0.5, 1, 1.01, 1.7, 2.4, 3];
  const root = svg("svg", {width: cells.length * 16, height: 12, "aria-hidden": true});
  cells.forEach((ratio, i) => {
    const rect = svg("rect", {x: i * 16, y: 0, width: 15, height: 12, rx: 2});
    rect.style.fill = heatColor(ratio);
    root.append(rect);
  });
  return element("div", {class: "legend"}, element("span", {}, "equal", root, "3 × threshold; warm colours: drifted"));
}

// --- bars

function barList(entries, textOf) {
  const most = Math.max(...entries.map((e) => e[1]), 1e-12);
  return element("div", {class: "bars"}, entries.map(([name, value]) => {
    const bar = element("div", {class: "bar"});
    bar.style.width = `${Math.max(0, value / most) * 100}%`;
    return [element("div", {class: "label", title: name}, name), element("div", {class: "track"}, bar), element("div", {class: "figure"}, textOf(value))];
  }));
}

/// counts of equally wide bins between min and max
function histogram(counts, low, high) {
  const width = 150;
  const height = 30;
  const most = Math.max(...counts, 1);
  const step = width / counts.length;
  const root = svg("svg", {width, height, viewBox: `0 0 ${width} ${height}`, class: "blue", role: "img", "aria-label": "distribution"});
  root.append(svg("line", {x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: "grid"}));
  counts.forEach((count, i) => {
    const tall = count === 0 ? 0 : Math.max(1.5, (count / most) * (height - 3));
    const bar = svg("rect", {x: i * step, y: height - tall - 1, width: Math.max(1, step - 1), height: tall, rx: 1, class: "fill"});
    const target = svg("rect", {x: i * step, y: 0, width: step, height, fill: "transparent"});
    const from = typeof low === "number" ? low + ((high - low) * i) / counts.length : null;
    const to = typeof low === "number" ? low + ((high - low) * (i + 1)) / counts.length : null;
    withTip(target, () => [pair(from === null ? `part ${i + 1} of ${counts.length}` : `${format.number(from)} to ${format.number(to)}`, `${format.count(count)} rows`)]);
    root.append(bar, target);
  });
  return root;
}
