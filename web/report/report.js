"use strict";
// The sections of the report, in the order in which a reader asks: what would have happened (replay), how good are the models,
// has the world changed, where does it all come from, what ran, what does the data look like, what was refused.

const report = JSON.parse(document.getElementById("data").textContent);
const ms = (text) => Date.parse(text);
const metricNames = {auc: "AUC", average_precision: "average precision", log_loss: "log loss", brier: "Brier score", accuracy: "accuracy"};
const shortNames = {auc: "AUC", average_precision: "AP", log_loss: "log loss", brier: "Brier", accuracy: "accuracy"};
const nameOf = (metric) => metricNames[metric] || metric;
const plural = (n, one, many) => `${format.count(n)} ${n === 1 ? one : many || `${one}s`}`;

function section(id, title, lead, ...content) {
  return element("section", {id, "data-title": title}, element("div", {class: "head"}, element("h2", {}, title), lead ? element("p", {}, lead) : null), content);
}

function card(title, note, ...content) {
  return element("div", {class: "card"}, title ? element("div", {class: "top"}, element("h3", {}, title), note ? (typeof note === "string" ? element("p", {}, note) : note) : null) : null, content);
}

function table(heads, rows) {
  const head = element("tr", {}, heads.map(([text, kind]) => element("th", {class: kind, scope: "col"}, text)));
  return element("div", {class: "scroll"}, element("table", {}, element("thead", {}, head), element("tbody", {}, rows)));
}

function cell(kind, ...content) {
  return element("td", {class: kind}, content);
}

/// Shows the first `count` of `items`; a button shows the rest.
function firstOf(items, count, draw) {
  const place = element("div");
  const show = (all) => {
    place.replaceChildren(...[draw(all ? items : items.slice(0, count))].flat());
    if (!all && items.length > count) place.append(element("button", {class: "more", type: "button", onclick: () => show(true)}, `show all ${format.count(items.length)}`));
  };
  show(false);
  return place;
}

// --- header

function tile(name, value, note) {
  return element("div", {class: "tile"}, element("div", {class: "name"}, name), element("div", {class: "value"}, value), element("div", {class: "note"}, note || ""));
}

function brand() {
  const wave = (y, opacity) => svg("path", {d: `M2 ${y}c4 -5 7 -5 11 0s7 5 11 0s7 -5 6 -4`, class: "line blue", opacity, "stroke-width": 2.6});
  return element("div", {class: "brand"}, svg("svg", {viewBox: "0 0 32 32", "aria-hidden": true}, wave(10, 1), wave(17, 0.65), wave(24, 0.35)), "Tidemill");
}

function header() {
  const count = (kind) => report.assets.filter((a) => a.kind === kind).length;
  const versions = report.models.flatMap((m) => m.versions);
  const rows = report.assets.filter((a) => a.kind === "source").reduce((sum, a) => sum + (a.rows || 0), 0);
  const refused = report.quarantine_rows;
  const model = report.models.find((m) => m.champion) || report.models[0];
  const live = model && model.versions.find((v) => v.version === model.champion);
  const latest = model && model.performance.at(-1);
  const tiles = [
    tile("assets", format.count(report.assets.length), `${plural(count("source"), "source")}, ${plural(count("table"), "table")}, ${plural(count("feature view"), "view")}`),
    tile("source rows", format.count(rows), refused > 0 ? `${format.count(refused)} quarantined` : "none quarantined"),
    tile("model versions", format.count(versions.length), `${format.count(versions.filter((v) => v.status === "accepted").length)} accepted`),
  ];
  if (live) tiles.push(tile("live version", `v${live.version}`, `since ${format.day(liveSince(model))}`));
  if (latest) tiles.push(tile(`measured ${shortNames[model.metric] || model.metric}`, format.metric(latest.value), `at ${format.day(latest.at)}${latest.alert ? ", below its threshold" : ""}`));
  const drift = model && model.drift_share.at(-1);
  if (drift) tiles.push(tile("drifted columns", format.share(drift.value), `${format.count(drift.columns)} at ${format.day(drift.at)}`));
  const what = `Everything that is, ran and was learned${report.replay ? ", and a replay of the policy over history" : ""}`;
  return [brand(), element("h1", {}, report.project.name), element("p", {class: "lead"}, `${what} · project clock ${report.project.clock ? format.time(report.project.clock) + " UTC" : "not started"}`), element("div", {class: "tiles"}, tiles)];
}

function liveSince(model) {
  return model.aliases.filter((a) => a.alias === "champion" && a.version === model.champion).at(-1)?.at || model.versions.find((v) => v.version === model.champion)?.clock;
}

// --- marks of what happened to a model, shared by all charts over time

function versionMarks(model, withRefused) {
  const marks = model.versions.filter((v) => withRefused || v.status === "accepted").map((v) => ({
    x: ms(v.clock), text: `v${v.version}`, refused: v.status !== "accepted", color: v.status === "accepted" ? "purple" : "grey",
    tip: () => [element("b", {}, `version ${v.version}, ${v.status}`), element("p", {}, format.time(v.clock)), element("p", {}, v.reason)],
  }));
  return marks.sort((a, b) => a.x - b.x);
}

// --- replay

function difference(first, live) {
  if (!Number.isFinite(first) || !Number.isFinite(live)) return cell("number", "–");
  const gain = live - first;
  return cell(`number ${gain > 0.0005 ? "better" : gain < -0.0005 ? "worse" : ""}`, `${gain > 0 ? "+" : gain < 0 ? "−" : "±"}${Math.abs(gain).toFixed(3)}`);
}

function retrainingLine(text) {
  const refused = /reject|refus/.test(text);
  return element("div", {}, svg("svg", {width: 13, height: 12, class: refused ? "grey" : "purple", style: "display:inline-block;vertical-align:-1px;margin-right:6px"}, refused ? crossMark(6.5, 6) : diamond(6.5, 6)), text);
}

function monthRow(m) {
  return element("tr", {}, cell("tight", element("b", {}, m.month)), cell("number", format.count(m.rows)), cell("number", format.share(m.positive_share)), cell("number", format.count(m.drifted_features)),
    cell("number", format.metric(m.auc_first)), cell("number", format.metric(m.auc_live)), difference(m.auc_first, m.auc_live),
    cell("number", format.metric(m.average_precision_first)), cell("number", format.metric(m.average_precision_live)),
    cell("reason", m.retrainings.length > 0 ? m.retrainings.map(retrainingLine) : "–"));
}

function monthChart(months, model, first, live, name) {
  const start = (m) => ms(`${m.month}-01T00:00:00Z`);
  const middle = (m) => start(m) + 15 * dayMs;
  const points = (key) => months.map((m) => ({x: middle(m), y: m[key]}));
  const label = new Map(months.map((m) => [middle(m), m]));
  const end = start(months.at(-1)) + 31 * dayMs;
  return lineChart({label: `${name} by month`, time: true, height: 280, domain: [start(months[0]), end],
    series: [{name: "first model, left alone", color: "grey", points: points(first), dots: true, dashed: true}, {name: "live, under the policy", color: "orange", points: points(live), dots: true}],
    marks: model ? versionMarks(model, true).filter((m) => m.x >= start(months[0]) && m.x <= end) : [],
    xText: (x) => `${label.get(x).month}: ${plural(label.get(x).rows, "row")}`});
}

function replaySection(replay) {
  const months = replay.months;
  if (!months || months.length === 0) return null;
  const model = (replay.models || report.models)[0];
  const lead = `${plural(replay.ticks, "tick")}, ${plural(replay.alerts, "alert")}, ${plural(replay.retrainings, "retraining")}, ${plural(replay.promotions, "promotion")}; replayed in ${format.seconds(replay.seconds)}`;
  const keys = legend([["line", "orange", "live, under the policy"], ["dash", "grey", "first model, left alone"], ["retrained", "", "retrained, accepted"], ["refused", "", "retrained, refused by a gate"]]);
  const heads = [["month"], ["rows", "number"], ["positive", "number"], ["drifted", "number"], ["AUC first", "number"], ["AUC live", "number"], ["gain", "number"], ["AP first", "number"], ["AP live", "number"], ["retrainings and why"]];
  return section("replay", "What the policy would have done", lead,
    card("AUC by month", keys, monthChart(months, model, "auc_first", "auc_live", "AUC")),
    card("Month by month", "what users would have seen, measured once all labels were known", table(heads, months.map(monthRow))),
    card("Average precision by month", null, monthChart(months, model, "average_precision_first", "average_precision_live", "average precision")));
}

// --- models

function gatePills(version) {
  const passed = version.gates.filter((g) => g.passed);
  const list = (gates) => gates.map((g) => element("div", {}, element("b", {}, g.gate), element("p", {}, g.text || "")));
  const pill = (kind, text, gates) => withTip(element("span", {class: `pill ${kind}`}, text), () => list(gates));
  return element("div", {class: "pills"}, version.gates.filter((g) => !g.passed).map((g) => pill("bad", `✕ ${g.gate}`, [g])),
    passed.length > 0 ? pill("good", `✓ ${passed.length} of ${version.gates.length} passed`, passed) : null);
}

function versionRow(model, metrics, v) {
  const live = v.version === model.champion;
  const refused = v.gates.filter((g) => !g.passed).map((g) => g.text).filter(Boolean);
  return element("tr", {class: live ? "live" : null},
    cell("tight", element("b", {}, `v${v.version}`)), cell("tight", format.time(v.clock)),
    cell("tight", element("div", {class: "pills"}, element("span", {class: `pill ${v.status === "accepted" ? "good" : "bad"}`}, `${v.status === "accepted" ? "✓" : "✕"} ${v.status}`), live ? element("span", {class: "pill live"}, "live") : null)),
    cell("reason", v.reason, refused.map((text) => element("div", {class: "sub"}, text))),
    metrics.map((name) => cell("number", format.metric(v.metrics[name]))),
    cell("number", v.rows ? format.count((v.rows.train || 0) + (v.rows.validate || 0)) : "–", element("div", {class: "sub"}, v.rows ? `${format.count(v.rows.test)} test` : "")),
    cell("", gatePills(v)));
}

function curveChart(title, points, xLabel, name, extra) {
  if (!points || points.length === 0) return card(title, null, element("p", {class: "empty"}, "not measured: the test window holds one class only"));
  return card(title, null, lineChart({label: title, square: true, domain: [0, 1], yDomain: [0, 1], xLabel, yFormat: (y) => y.toFixed(1), tipFormat: format.metric, ...extra,
    series: [{name, color: "blue", points: points.map(([x, y]) => ({x, y})), area: !extra.dots, dots: extra.dots}]}));
}

function importanceCard(importances) {
  const entries = Object.entries(importances).sort((a, b) => b[1] - a[1]);
  if (entries.length === 0) return null;
  return card("What it looks at", "share of the total gain of all splits", firstOf(entries, 15, (some) => barList(some, format.share)));
}

function inspector(model) {
  const place = element("div");
  const show = (number) => {
    const v = model.versions.find((x) => x.version === number);
    const base = v.metrics.rows > 0 ? v.metrics.positives / v.metrics.rows : null;
    const noted = (name) => (Number.isFinite(v.metrics[name]) ? ` · ${shortNames[name]} ${format.metric(v.metrics[name])}` : "");
    place.replaceChildren(
      element("div", {class: "row"},
        curveChart(`ROC${noted("auc")}`, v.curves.roc, "false positive rate", "true positive rate", {diagonal: true}),
        curveChart(`Precision and recall${noted("average_precision")}`, v.curves.precision_recall, "recall", "precision", {bounds: base ? [{y: base, text: "always yes", color: "grey"}] : []}),
        curveChart(`Calibration${noted("brier")}`, v.curves.calibration, "mean score", "share of positives", {diagonal: true, dots: true})),
      importanceCard(v.importances) || "");
    const second = place.lastElementChild;
    if (second && second !== place.firstElementChild) second.style.marginTop = "14px";
  };
  const shown = model.versions.filter((v) => v.curves && v.importances);
  if (shown.length === 0) return null;
  const chosen = (shown.find((v) => v.version === model.champion) || shown.at(-1)).version;
  const choice = element("select", {"aria-label": "version", onchange: (e) => show(+e.target.value)}, [...shown].reverse().map((v) =>
    element("option", {value: v.version, selected: v.version === chosen}, `version ${v.version}${v.version === model.champion ? ", live" : v.status === "accepted" ? "" : ", rejected"}`)));
  show(chosen);
  return element("div", {style: "margin-top:22px"}, element("div", {class: "head"}, element("h3", {}, "On the test window of"), choice), place);
}

function modelSection(model, id, title) {
  if (model.versions.length === 0) return section(id, title, model.name, card(null, null, element("p", {class: "empty"}, "No version yet: tidemill run trains the first one.")));
  const metrics = ["auc", "average_precision", "log_loss", "brier"].filter((name) => model.versions.some((v) => Number.isFinite(v.metrics[name])));
  const heads = [["version"], ["trained at"], ["status"], ["why"], ...metrics.map((m) => [shortNames[m] || m, "number"]), ["rows fitted", "number"], ["gates"]];
  const lead = `${model.name} · ${plural(model.versions.length, "version")}${model.condition ? ` · retrains when ${model.condition}` : ""}`;
  return section(id, title, lead,
    card("Versions", "figures of the test window, by the model fitted before it", firstOf([...model.versions].reverse(), 12, (some) => table(heads, some.map((v) => versionRow(model, metrics, v))))),
    inspector(model));
}

// --- performance and drift over time

function performanceCard(model) {
  if (model.performance.length === 0) return card("Performance on labelled rows", null, element("p", {class: "empty"}, "Not measured yet: it needs 200 scored rows whose labels are known, with both classes among them."));
  const series = [{name: "live", color: "orange", points: model.performance.map((p) => ({x: ms(p.at), y: p.value, note: `version ${p.version}`})), dots: model.performance.length < 80 ? "small" : false}];
  const keys = [["line", "orange", "live version"]];
  if (model.first.length > 0) {
    series.unshift({name: "first, left alone", color: "grey", points: model.first.map((p) => ({x: ms(p.at), y: p.value})), dashed: true});
    keys.push(["dash", "grey", "first version, left alone"]);
  }
  const threshold = model.performance.at(-1).threshold;
  const alerts = model.performance.filter((p) => p.alert).map((p) => ({x: ms(p.at), y: p.value}));
  keys.push(["alert", "", `alert (${alerts.length})`], ["retrained", "", "new version"], ["refused", "", "refused by a gate"]);
  return card(`Measured ${nameOf(model.metric)}${model.window ? ` over ${model.window}` : ""}`, legend(keys), lineChart({label: `${model.metric} over time`, time: true, height: 270, series, alerts,
    marks: versionMarks(model, true).filter((m) => m.x >= ms(model.performance[0].at) - 14 * dayMs), bounds: Number.isFinite(threshold) ? [{y: threshold, text: `alert below ${format.number(threshold)}`, color: "red"}] : []}));
}

function driftCards(model) {
  if (model.drift_share.length === 0) return [card("Drift", null, element("p", {class: "empty"}, "Not measured yet: it needs 200 scored rows of the live version."))];
  const shares = lineChart({label: "share of drifted columns", time: true, height: 190, fromZero: true, yDomain: [0, Math.max(0.55, ...model.drift_share.map((d) => d.value * 1.1))], yFormat: (y) => `${Math.round(y * 100)} %`,
    series: [{name: "drifted columns", color: "blue", area: true, points: model.drift_share.map((d) => ({x: ms(d.at), y: d.value, note: `${d.columns} columns, against version ${d.version}`}))}],
    alerts: model.drift_share.filter((d) => d.alert).map((d) => ({x: ms(d.at), y: d.value})),
    bounds: [{y: model.drift_share.at(-1).threshold ?? 0.5, text: "the data set has drifted", color: "red"}], marks: versionMarks(model, false).filter((m) => m.x >= ms(model.drift_share[0].at))});
  const {ticks, rows} = thinned(model.drift, 120);
  const ranked = rows.map((row) => ({...row, drifted: row.cells.filter((c) => c && c.value > c.threshold).length, worst: Math.max(0, ...row.cells.map((c) => (c && c.threshold > 0 ? c.value / c.threshold : 0)))}))
    .sort((a, b) => b.drifted - a.drifted || b.worst - a.worst || a.name.localeCompare(b.name));
  const marks = versionMarks(model, false).filter((m) => m.x > ticks[0]);
  return [card("Share of columns that drifted from the live version's training set", null, shares),
    card("Drift of each column", heatScale(), firstOf(ranked, 30, (some) => heatMap({rows: some, ticks, marks})), element("p", {class: "empty"}, "Jensen-Shannon distance (base 2) of the scored rows from the training set of the version that was live, divided by the column's threshold."))];
}

/// At most `most` ticks: of neighbours the one where the column is furthest above its threshold stays.
function thinned(drift, most) {
  const group = Math.ceil(drift.ticks.length / most);
  const groups = Array.from({length: Math.ceil(drift.ticks.length / group)}, (_, i) => i * group);
  const furthest = (cells) => cells.reduce((best, c) => (c !== null && (best === null || c[1] - c[2] > best[1] - best[2]) ? c : best), null);
  const rows = drift.columns.map((c) => ({name: c.name, cells: groups.map((g) => furthest(c.cells.slice(g, g + group))).map((x) => (x === null ? null : {version: x[0], value: x[1], threshold: x[2]}))}));
  return {ticks: groups.map((g) => ms(drift.ticks[g])), rows};
}

function monitoringSection(model, id, title) {
  if (model.versions.length === 0) return null;
  return section(id, title, "each measurement uses only what was known at its time", performanceCard(model), driftCards(model));
}

// --- skew

function skewItem(view, open) {
  const last = view.checks.at(-1);
  const bad = view.checks.filter((c) => c.alert);
  const pill = element(
      'span', {class: `pill ${last.alert ? 'bad' : 'good'}`},
      last.alert ? `✕ ${format.count(last.different)} differ` : '✓ equal');
  const heads = [['checked at'], ['answers', 'number'], ['different', 'number']];
  const row = (c) => element(
      'tr', {}, cell('tight', format.time(c.at)), cell('number', format.count(c.answers)),
      cell(`number ${c.alert ? 'worse' : ''}`, format.count(c.different)));
  const advice = last.alert ?
      element(
          'p', {style: 'margin-bottom:8px'},
          'See entities, values and the rows behind them: ', element('code', {}, `tidemill features verify ${view.view}`)) :
      null;
  return element(
      'details', {class: 'item', open},
      element(
          'summary', {}, pill, element('span', {class: 'grow'}, element('b', {}, view.view)),
          element(
              'span', {class: 'aside'},
              `${plural(view.checks.length, 'check')}${
                  bad.length > 0 ? `, ${format.count(bad.length)} with differences` : ''} · last ${format.time(last.at)}`)),
      element(
          'div', {class: 'inside'}, advice, firstOf(view.checks.slice().reverse(), 30, (some) => [table(heads, some.map(row))])));
}

function skewSection() {
  if (report.skew.length === 0) return null;
  return section(
      'skew', 'Online and batch',
      'logged online answers, computed again by the point-in-time join and compared bit for bit after each materialization',
      card(null, null, report.skew.map((view) => skewItem(view, view.checks.at(-1).alert))));
}

// --- assets

function graphSection() {
  if (report.assets.length === 0) return null;
  const kinds = ["source", "table", "feature view", "model"].filter((kind) => report.assets.some((a) => a.kind === kind));
  return section("assets", "Assets", "what reads what; point at one to follow it up and down", card(null, null, assetGraph(report.assets),
    element("div", {style: "margin-top:14px"}, legend(kinds.map((kind) => ["dot", kindColors[kind], kind])))));
}

// --- runs

function stepBars(steps) {
  const total = steps.reduce((sum, s) => sum + s.seconds, 0) || 1;
  let before = 0;
  return element("div", {class: "steps"}, steps.map((s) => {
    const bar = element("div", {class: `bar ${s.status}`});
    bar.style.left = `${(before / total) * 100}%`;
    bar.style.width = `${(s.seconds / total) * 100}%`;
    before += s.seconds;
    const name = withTip(element("div", {class: "label"}, s.status === "failed" ? "✕ " : s.status === "skipped" ? "– " : "", s.asset), () => [element("b", {}, s.asset), pair("status", s.status), element("p", {}, s.reason)]);
    return [name, element("div", {class: "track"}, bar), element("div", {class: "quiet rows"}, s.rows > 0 ? `${format.count(s.rows)} rows` : ""), element("div", {class: "quiet"}, s.status === "skipped" ? "skipped" : format.seconds(s.seconds)),
      s.error ? element("div", {class: "why"}, s.error) : null];
  }));
}

function runItem(run, open) {
  const good = run.status === "succeeded";
  return element("details", {class: "item", open},
    element("summary", {}, element("span", {class: `pill ${good ? "good" : run.status === "running" ? "" : "bad"}`}, `${good ? "✓" : run.status === "running" ? "…" : "✕"} ${run.status}`),
      element("span", {class: "grow"}, element("b", {}, `${run.id}`), ` · ${run.command}`), element("span", {class: "aside"}, `clock ${format.time(run.clock)} · ${plural(run.steps.length, "step")} · ${format.seconds(run.seconds)}`)),
    element("div", {class: "inside"}, run.error ? element("p", {class: "worse", style: "margin-bottom:8px"}, run.error) : null, run.steps.length > 0 ? stepBars(run.steps) : element("p", {class: "empty"}, "nothing to do")));
}

function runsSection() {
  if (report.runs.length === 0) return null;
  const shown = report.runs_more ? `the newest ${format.count(report.runs.length)} runs` : plural(report.runs.length, "run");
  const open = Math.max(0, report.runs.findIndex((r) => r.steps.length > 0));
  return section("runs", "Runs", `${shown}; bars are the seconds of each step, one after the other`, card(null, null, firstOf(report.runs, 12, (some) => some.map((run, i) => runItem(run, i === open)))));
}

// --- data

function columnRow(column) {
  const share = element("i");
  share.style.width = `${Math.min(100, column.null_share * 100)}%`;
  const shape = column.histogram && column.histogram.length > 1 ? histogram(column.histogram, column.min, column.max)
    : column.top ? element("div", {class: "top-values"}, column.top.map(([value, n], i) => [i > 0 ? ", " : "", element("b", {}, String(value)), ` ${format.count(n)}`])) : "";
  const text = (x) => (column.type === "timestamp" || column.type === "date" ? (x ? format.time(x) : "–") : format.number(x));
  return element("tr", {}, cell("tight", element("b", {}, column.name)), cell("", element("span", {class: "sub"}, column.type)),
    cell("number", element("span", {class: "nulls"}, share), format.share(column.null_share)), cell("number", format.count(column.distinct)),
    cell("number", text(column.min)), cell("number", column.mean === undefined ? "" : format.number(column.mean)), cell("number", text(column.max)), cell("", shape));
}

function profileItem(profile, open) {
  const heads = [["column"], ["type"], ["null", "number"], ["distinct", "number"], ["min", "number"], ["mean", "number"], ["max", "number"], ["distribution or most frequent"]];
  const details = element("details", {class: "item", open}, element("summary", {}, swatches.dot(kindColors[profile.kind]), element("span", {class: "grow"}, element("b", {}, profile.name), ` · ${profile.kind}`),
    element("span", {class: "aside"}, `${plural(profile.rows, "row")} · ${plural(profile.columns.length, "column")}${profile.sampled ? " · shapes from a sample" : ""}`)));
  const fillIn = () => {
    if (details.children.length === 1) details.append(element("div", {class: "inside"}, table(heads, profile.columns.map(columnRow))));
  };
  if (open) fillIn();
  else details.addEventListener("toggle", fillIn, {once: true});  // wide projects have thousands of columns
  return details;
}

function dataSection() {
  if (report.profiles.length === 0) return null;
  return section("data", "Data", "sources and tables as they are in the lake now; distinct counts are estimates", card(null, null, report.profiles.map((p, i) => profileItem(p, i === 0))));
}

function quarantineItem(entry, open) {
  return element("details", {class: "item", open}, element("summary", {}, element("span", {class: "grow"}, element("b", {}, entry.source), ` · ${entry.reason}`), element("span", {class: "aside"}, plural(entry.rows, "row"))),
    element("div", {class: "inside"}, entry.samples.map((s) => element("div", {style: "margin-bottom:8px"}, element("span", {class: "sub"}, `${s.file}, line ${format.count(s.line)}, record ${format.count(s.record)}`), element("pre", {class: "raw"}, s.raw ?? "")))));
}

function quarantineSection() {
  const total = report.quarantine_rows;
  const content = total === 0 ? [element("p", {class: "empty"}, "No row broke its contract.")] : [firstOf(report.quarantine, 20, (some) => some.map((entry, i) => quarantineItem(entry, i === 0)))];
  return section("quarantine", "Quarantine", total > 0 ? `${plural(total, "row")} that broke a contract, with the reason and the place` : "", card(null, null, content));
}

// --- the page

function modelSections(models, prefix, titlePrefix) {
  const capital = (text) => (titlePrefix ? text : text[0].toUpperCase() + text.slice(1));
  return models.flatMap((m) => {
    const of = models.length > 1 ? ` ${m.name}` : "";
    return [modelSection(m, `${prefix}model-${m.name}`, titlePrefix + capital(`model${of}`)), monitoringSection(m, `${prefix}monitoring-${m.name}`, titlePrefix + capital(`monitoring${of}`))];
  });
}

function drawPage() {
  document.title = `${report.project.name}: Tidemill report`;
  const sections = [
    report.replay ? replaySection(report.replay) : null, ...modelSections(report.replay?.models || [], 'replay-', 'Replay: '),
    ...modelSections(report.models, '', ''), skewSection(), graphSection(), runsSection(), dataSection(), quarantineSection()
  ].filter((s) => s !== null);
  document.getElementById("top").append(...header());
  document.getElementById("page").append(...sections);
  document.getElementById("contents").append(element("div", {}, sections.map((s) => element("a", {href: `#${s.id}`}, s.id === "replay" ? "Replay" : s.dataset.title))));
  document.getElementById("foot").append(`Made by Tidemill ${report.project.tidemill || ""}. This file stands alone: it loads nothing.`);
}

drawPage();
