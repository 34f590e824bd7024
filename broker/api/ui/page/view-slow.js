// Subscribers that do not keep up: the most of something first.

import { h } from "./dom.js";
import { get } from "./api.js";
import { choice, clientLink, empty, loader, missing, name, pageHead, table } from "./parts.js";
import { clientState } from "./view-clients.js";
import { bytes, count } from "./format.js";
import { drop } from "./words.js";

const refresh = 5000;
let order = "queued"; // stays while the page does

function render(ctx) {
  const list = loader(ctx, () => get("/api/v1/clients", { sort: order, limit: 50 }, ctx.signal), show);
  list.run();
  ctx.every(refresh, list.run);
  return h("div", { class: "view" },
    pageHead("Slow subscribers", "Who has the most waiting, of all nodes. Stalled: the connection does not take what waits for it.",
      choice("Order", [["queued", "Queued"], ["inflight", "In flight"], ["dropped", "Dropped"]], order, (v) => {
        order = v;
        list.run();
      })), list.el);
}

function show(page) {
  const rows = page.clients.filter((c) => c[order] > 0 || c.stalled);
  if (rows.length === 0) return [missing(page.missing), empty({ queued: "Nothing waits for anybody.", inflight: "Nothing is in flight.", dropped: "No message of a client was dropped." }[order], "Subscribers keep up.")];
  const most = Math.max(...rows.map((c) => c[order]), 1);
  return [missing(page.missing), h("div", { class: "card flush" }, table("Slow subscribers", [
    { head: "Client", cls: "wide", cell: (c) => clientLink(c.id) },
    { head: "State", cell: clientState },
    { head: { queued: "Queue", inflight: "Window", dropped: "Dropped" }[order], cls: "meter-cell", low: true, cell: (c) => h("meter", { min: 0, max: most, value: c[order], "aria-label": `${order} ${c[order]}` }) },
    { head: "Queued", num: true, cell: (c) => count(c.queued) },
    { head: "Bytes", num: true, low: true, cell: (c) => bytes(c.queued_bytes) },
    { head: "In flight", num: true, cell: (c) => count(c.inflight) },
    { head: "Dropped", num: true, cell: (c) => count(c.dropped) },
    { head: "Why", low: true, cls: "tight", cell: why },
    new Set(rows.map((c) => c.node)).size > 1 ? { head: "Node", low: true, cls: "tight", cell: (c) => name(c.node) } : null,
  ].filter(Boolean), rows))];
}

function why(c) {
  const top = Object.entries(c.drops ?? {}).sort((a, b) => b[1] - a[1])[0];
  return top ? drop(top[0]).label : "–";
}

export default { title: "Slow subscribers", render };
