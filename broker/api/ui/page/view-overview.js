// How the nodes are: figures now, over the last minutes, and since their start.

import { h, put } from "./dom.js";
import { chart } from "./chart.js";
import { age, dropReasons, interval, onFeed, series, totals } from "./feed.js";
import { card, choice, dot, empty, failure, name, pageHead, select, table, tag } from "./parts.js";
import { bytes, count, seconds, short, span } from "./format.js";
import { drop } from "./words.js";

const perSecond = (v) => `${short(v)}/s`;
const bytesPerSecond = (v) => `${bytes(v)}/s`;
const bytesAxis = (v) => bytes(v).replace(/\.0+(?= )/, "");
const shownReasons = 5;

let minutes = 5; // stays while the page does
let node = "";
const tones = new Map(); // of drop reasons: a reason keeps its colour

// shownMinutes is what is asked for, or less while there are not that many yet.
function shownMinutes() {
  return [1, 2, 5, 15].find((m) => m >= minutes || m * 60000 >= age()) ?? 15;
}

// toneOf is a reason's colour; the one that is no loss is grey.
function toneOf(reason) {
  if (reason === "no_subscriber") return 6;
  if (!tones.has(reason)) tones.set(reason, [5, 2, 4, 1, 3][tones.size % 5]);
  return tones.get(reason);
}

function render(ctx) {
  const range = () => shownMinutes() * 60000;
  const make = (title, format, more) => chart({ title, format, span: range, interval, ...more });
  const charts = {
    messages: make("Messages", perSecond, { axis: short }),
    bytes: make("Bytes", bytesPerSecond, { axis: bytesAxis, base: 1024 }),
    connections: make("Connections", count, { axis: short }),
    drops: make("Drops by reason", perSecond, { axis: short, stacked: true, empty: "Nothing was dropped", ready: () => series(node, (v) => v.rate?.in).some((p) => p.v !== null) }),
  };
  const place = { problem: h("div"), tiles: h("div", { class: "tiles" }), nodes: h("div", { class: "stack" }), sums: h("div", { class: "grid three" }), pick: h("div") };
  let last = null;
  const draw = (state) => {
    last = state;
    put(place.problem, state.error ? failure(state.error) : null);
    drawCharts(charts);
    const sum = totals(node);
    put(place.tiles, sum ? tiles(sum, node || state.nodes.length < 2 ? `at most ${count(sum.max_connections)}` : `on ${state.nodes.length} nodes`) : null);
    put(place.nodes, nodeTable(state.nodes));
    put(place.sums, sum ? [latencies(sum), dropTable(sum), endings(sum)] : null);
    drawPick(place.pick, state.nodes, () => draw(last));
  };
  const el = h("div", { class: "view" },
    pageHead("Overview", null, place.pick, choice("Time shown", [[1, "1 min"], [5, "5 min"], [15, "15 min"]], minutes, (v) => {
      minutes = Number(v);
      drawCharts(charts);
    })),
    place.problem, place.tiles,
    h("div", { class: "grid two" }, Object.values(charts).map((c) => c.el)),
    place.nodes, place.sums);
  onFeed(draw, ctx.signal);
  return el;
}

function drawPick(place, nodes, redraw) {
  if (nodes.length < 2) {
    node = "";
    put(place);
    return;
  }
  const key = nodes.map((n) => n.name).join("\n");
  if (place.dataset.names === key) return; // an open list stays open
  place.dataset.names = key;
  put(place, select([["", `All ${nodes.length} nodes`], ...nodes.map((n) => [n.name, n.name])], node, {
    "aria-label": "Node", on: { change: (e) => {
      node = e.target.value;
      redraw();
    } },
  }));
}

function drawCharts(charts) {
  const now = Date.now();
  const line = (title, tone, pick) => ({ name: title, tone, points: series(node, pick) });
  charts.messages.update([line("in", 1, (v) => v.rate?.in), line("out", 2, (v) => v.rate?.out)], now);
  charts.bytes.update([line("in", 1, (v) => v.rate?.bytesIn), line("out", 2, (v) => v.rate?.bytesOut)], now);
  charts.connections.update([line("open", 3, (v) => v.connections)], now);
  const reasons = dropReasons(node);
  const top = reasons.slice(0, shownReasons);
  const lines = top.map((r) => ({ ...line(drop(r).label, toneOf(r), (v) => (v.rate ? v.rate.drops[r] ?? 0 : null)), title: drop(r).why }));
  if (reasons.length > top.length) {
    const rest = reasons.slice(shownReasons);
    lines.push(line("others", 6, (v) => (v.rate ? rest.reduce((n, r) => n + (v.rate.drops[r] ?? 0), 0) : null)));
  }
  charts.drops.update(lines, now);
}

function tiles(v, aboutConnections) {
  const tile = (label, value, more) => h("div", { class: "tile" }, h("span", { class: "tile-label" }, label), h("span", { class: "tile-value" }, value), h("span", { class: "tile-more" }, more));
  return [
    tile("Connections", count(v.connections), aboutConnections),
    tile("Sessions", count(v.sessions), `${count(v.persistent)} kept`),
    tile("Subscriptions", count(v.subscribed), `${count(v.shared)} shared`),
    tile("Retained", count(v.retained), "messages"),
    tile("Queued", count(v.queued), bytes(v.queued_bytes)),
    tile("In flight", count(v.inflight), "messages"),
    tile("Memory", bytes(v.memory_bytes), `${count(v.goroutines)} goroutines`),
    tile("Up", span((Date.parse(v.time) - Date.parse(v.started)) / 1000), `since ${new Date(v.started).toLocaleDateString("sv-SE")}`),
  ];
}

function stateOf(n) {
  if (n.error) return dot("bad", n.error);
  if (n.draining) return dot("warn", "draining");
  return n.ready ? dot("good", "ready") : dot("bad", n.reason || "not ready");
}

function nodeTable(nodes) {
  if (nodes.length === 0) return null;
  const known = (n, v) => (n.error ? "–" : v);
  const columns = [
    { head: "Node", cell: (n) => [name(n.name), n.self && nodes.length > 1 ? [" ", tag("this one")] : null] },
    { head: "State", cell: stateOf },
    { head: "Connections", num: true, cell: (n) => known(n, count(n.connections)) },
    { head: "Sessions", num: true, low: true, cell: (n) => known(n, count(n.sessions)) },
    { head: "Subscriptions", num: true, low: true, cell: (n) => known(n, count(n.subscriptions)) },
    { head: "Queued", num: true, cell: (n) => known(n, count(n.queued)) },
    { head: "In flight", num: true, low: true, cell: (n) => known(n, count(n.inflight)) },
    { head: "Memory", num: true, low: true, cell: (n) => known(n, bytes(n.memory_bytes)) },
    { head: "Up", num: true, low: true, cell: (n) => known(n, span((Date.now() - Date.parse(n.started)) / 1000)) },
    { head: "Version", low: true, cell: (n) => known(n, n.version) },
  ];
  const boxes = nodes.flatMap((n) => (n.mailboxes ?? []).map((m) => ({ ...m, node: n.name })));
  return [card("Nodes", table("Nodes", columns, nodes)), boxes.length > 0 ? card("Mailboxes", table("Mailboxes", [
    { head: "Mailbox", cell: (m) => [name(m.id), m.adopted ? [" ", tag("adopted", "warn")] : null] },
    { head: "Owner", cell: (m) => name(m.node) },
    { head: "Epoch", num: true, low: true, cell: (m) => count(m.epoch) },
    { head: "Not trimmed", num: true, cell: (m) => count(m.pending), title: "Entries that are not trimmed yet" },
    { head: "Lease renewed", num: true, cell: (m) => `${seconds(m.lease_age_sec)} ago` },
  ], boxes)) : null];
}

function latencies(v) {
  const rows = [["Acknowledge", v.ack_delay, "From a publish to its acknowledgement"], ["Commit", v.commit_delay, "From a batch to its commit"], ["Sync", v.sync_delay, "The disk's own part"]];
  return card("Latency", table("Latency", [
    { head: "", cell: ([label, , why]) => h("span", { title: why }, label) },
    { head: "p50", num: true, cell: ([, d]) => (d.count ? seconds(d.p50) : "–") },
    { head: "p99", num: true, cell: ([, d]) => (d.count ? seconds(d.p99) : "–") },
    { head: "max", num: true, cell: ([, d]) => (d.count ? seconds(d.max) : "–") },
    { head: "count", num: true, cell: ([, d]) => short(d.count) },
  ], rows));
}

const ranked = (counts) => Object.entries(counts).filter(([, n]) => n > 0).sort((a, b) => b[1] - a[1]);

function dropTable(v) {
  const rows = ranked(v.drops);
  return card("Dropped since start", rows.length === 0 ? empty("Nothing was dropped.") : table("Dropped since start", [
    { head: "Reason", cell: ([r]) => h("span", { title: drop(r).why }, drop(r).label) },
    { head: "Messages", num: true, cell: ([, n]) => count(n) },
  ], rows));
}

function endings(v) {
  const rows = [
    ...ranked(v.connects).map(([k, n]) => [`Connected, MQTT ${k}`, n]), ...ranked(v.disconnects).map(([k, n]) => [`Ended: ${k.replaceAll("_", " ")}`, n]),
    ...ranked(v.refusals).map(([k, n]) => [`Refused: ${k}`, n]), ["Taken over", v.takeovers], ["Sessions expired", v.expired],
  ];
  return card("Connections since start", table("Connections since start", [
    { head: "What", cell: ([k]) => name(k, "plain") }, { head: "Number", num: true, cell: ([, n]) => count(n) },
  ], rows));
}

export default { title: "Overview", render };
