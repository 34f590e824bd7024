// The counters of the nodes over time. There is one feed for the whole page, so that the
// charts go on while another view is open.

import { get, session } from "./api.js";

export const interval = 2000; // milliseconds between two looks
const keepFor = 15 * 60 * 1000; // milliseconds
const nodesEvery = 3; // looks

const listeners = new Set();
const state = {
  nodes: [], // of /nodes
  stats: new Map(), // node: its last Stats
  samples: [], // { at, node: { name: sample } }, oldest first
  error: null,
  timer: 0,
  turn: 0,
};

// onFeed calls f with the state now and after every look, until the signal ends.
export function onFeed(f, signal) {
  listeners.add(f);
  signal.addEventListener("abort", () => listeners.delete(f));
  if (state.nodes.length > 0 || state.error) f(state);
}

// startFeed looks at the counters while the page is shown.
export function startFeed() {
  document.addEventListener("visibilitychange", () => {
    clearTimeout(state.timer);
    if (!document.hidden) look();
  });
}

// resume begins anew after a token came; look stops by itself without one.
export function resume() {
  clearTimeout(state.timer);
  state.turn = 0;
  look();
}

async function look() {
  if (!session.token || document.hidden) return;
  const mine = session.token;
  try {
    if (state.turn % nodesEvery === 0 || state.error) state.nodes = (await get("/api/v1/nodes")).nodes;
    state.turn += 1;
    await count();
    state.error = null;
  } catch (e) {
    state.error = e;
  }
  if (mine !== session.token) return;
  for (const f of listeners) f(state);
  clearTimeout(state.timer);
  state.timer = setTimeout(look, interval);
}

async function count() {
  const asked = state.nodes.filter((n) => !n.error);
  const answers = await Promise.allSettled(asked.map((n) => get("/api/v1/stats", n.self ? {} : { node: n.name })));
  const sample = { at: Date.now(), node: {} };
  let failed = null;
  const seen = new Set();
  answers.forEach((a, i) => {
    if (a.status !== "fulfilled") {
      failed = a.reason;
      return;
    }
    const name = asked[i].name;
    seen.add(name);
    sample.node[name] = rates(state.stats.get(name), a.value);
    state.stats.set(name, a.value);
  });
  for (const name of state.stats.keys()) if (!seen.has(name)) state.stats.delete(name);
  if (seen.size === 0 && failed) throw failed;
  state.samples.push(sample);
  while (state.samples.length > 0 && sample.at - state.samples[0].at > keepFor) state.samples.shift();
}

// rates are a second's worth between two looks at a node; null for what cannot be known:
// the first look, and one after the node began anew.
function rates(before, now) {
  const out = { connections: now.connections, rate: null };
  const sec = before ? (Date.parse(now.time) - Date.parse(before.time)) / 1000 : 0;
  if (sec <= 0 || before.started !== now.started) return out;
  const per = (a, b) => Math.max(0, b - a) / sec;
  out.rate = {
    in: per(before.received.messages, now.received.messages), out: per(before.sent.messages, now.sent.messages),
    bytesIn: per(before.received.bytes, now.received.bytes), bytesOut: per(before.sent.bytes, now.sent.bytes),
    drops: {},
  };
  for (const [reason, n] of Object.entries(now.drops)) {
    const v = per(before.drops[reason] ?? 0, n);
    if (v > 0) out.rate.drops[reason] = v;
  }
  return out;
}

// age is how long ago the first look was, in milliseconds.
export function age() {
  return state.samples.length > 0 ? Date.now() - state.samples[0].at : 0;
}

// series is a figure over time: of one node, or the sum of all for "".
export function series(node, pick) {
  return state.samples.map(({ at, node: all }) => {
    let sum = null;
    for (const [name, sample] of Object.entries(all)) {
      if (node && name !== node) continue;
      const v = pick(sample);
      if (v !== null && v !== undefined) sum = (sum ?? 0) + v;
    }
    return { at, v: sum };
  });
}

// dropReasons are those that were dropped for while the page was open, with their number.
export function dropReasons(node) {
  const sums = new Map();
  for (const { node: all } of state.samples) {
    for (const [name, { rate }] of Object.entries(all)) {
      if (!rate || (node && name !== node)) continue;
      for (const [reason, v] of Object.entries(rate.drops)) sums.set(reason, (sums.get(reason) ?? 0) + v);
    }
  }
  return [...sums].sort((a, b) => b[1] - a[1]).map(([reason]) => reason);
}

// totals are the counters of one node, or the sum of all for "". Latencies are the worst
// of the nodes: a sum of them says nothing. Every node has all retained messages.
export function totals(node) {
  const list = [...state.stats.values()].filter((v) => !node || v.node === node);
  if (list.length === 0) return null;
  return list.slice(1).reduce(addStats, structuredClone(list[0]));
}

function addStats(a, b) {
  for (const [key, v] of Object.entries(b)) {
    if (/_delay$/.test(key)) worst(a[key], v);
    else if (key === "retained") a[key] = Math.max(a[key], v);
    else if (typeof v === "number") a[key] += v;
    else if (v !== null && typeof v === "object") addCounters(a[key], v);
    else if (key === "started" && v < a.started) a.started = v;
  }
  return a;
}

function addCounters(a, b) {
  for (const [key, n] of Object.entries(b)) a[key] = (a[key] ?? 0) + n;
}

function worst(a, b) {
  a.count += b.count;
  for (const key of ["mean", "p50", "p99", "max"]) a[key] = Math.max(a[key], b[key]);
}
