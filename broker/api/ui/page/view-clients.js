// All clients, in pages, with what narrows them down in the address.

import { h } from "./dom.js";
import { get } from "./api.js";
import { address, button, clientLink, dot, empty, field, input, loader, missing, name, pageHead, select, table } from "./parts.js";
import { ago, count, plural, version } from "./format.js";

const perPage = 50;
const typing = 250; // milliseconds of rest before a search is asked for
const refresh = 10000;
const filters = ["search", "connected", "stalled", "version", "listener", "user", "sort"];

export function clientState(c) {
  if (c.stalled) return dot("warn", "stalled");
  return c.connected ? dot("good", "connected") : dot("off", "away");
}

export function clientColumns(cluster) {
  return [
    { head: "Client", cls: "wide", cell: (c) => clientLink(c.id) },
    { head: "State", cell: clientState },
    { head: "User", low: true, cls: "id", cell: (c) => (c.user === undefined ? "–" : name(c.user)) },
    { head: "Address", low: true, cls: "tight", cell: (c) => name(c.remote ?? "–") },
    { head: "MQTT", low: true, cell: (c) => version(c.version) },
    { head: "Listener", low: true, cell: (c) => name(c.listener ?? "–") },
    { head: "Subs.", num: true, low: true, cell: (c) => count(c.subscriptions), title: "Subscriptions" },
    { head: "Queued", num: true, cell: (c) => count(c.queued) },
    { head: "In flight", num: true, low: true, cell: (c) => count(c.inflight) },
    { head: "Dropped", num: true, cell: (c) => count(c.dropped) },
    { head: "Connected", num: true, low: true, cell: (c) => ago(c.since) },
    cluster ? { head: "Node", low: true, cls: "tight", cell: (c) => name(c.node) } : null,
  ].filter(Boolean);
}

function render(ctx) {
  const q = Object.fromEntries(filters.map((f) => [f, ctx.params.get(f) ?? ""]));
  // The pages before this one are in the address too, so that there is a way back.
  const at = { before: ctx.params.getAll("before"), after: ctx.params.get("after") ?? "" };
  const list = loader(ctx, () => get("/api/v1/clients", { ...q, after: at.after, limit: perPage }, ctx.signal), (page) => showPage(page, q, at));
  // A change begins on the first page. The view stays, so that typing goes on.
  const form = controls(q, () => {
    Object.assign(at, { before: [], after: "" });
    ctx.go(address("clients", q), { replace: true });
    list.run();
  });
  list.run();
  ctx.every(refresh, list.run);
  return h("div", { class: "view" }, pageHead("Clients", null, button("Refresh", list.run, { ico: "refresh" })), form, list.el);
}

function controls(q, changed) {
  let timer = 0;
  const text = (key, props) => input({ value: q[key], ...props, on: { input: (e) => {
    q[key] = e.target.value;
    clearTimeout(timer);
    timer = setTimeout(changed, typing);
  } } });
  const pick = (key, options) => select(options, q[key], { on: { change: (e) => {
    q[key] = e.target.value;
    changed();
  } } });
  return h("form", { class: "toolbar", role: "search", "aria-label": "Clients", on: { submit: (e) => e.preventDefault() } },
    field("Search", text("search", { type: "search", placeholder: "id, user name or address", id: "client-search" })),
    field("State", pick("connected", [["", "All"], ["true", "Connected"], ["false", "Away"]])),
    field("Stalled", pick("stalled", [["", "All"], ["true", "Stalled"], ["false", "Not stalled"]])),
    field("MQTT", pick("version", [["", "All"], ["5", "5"], ["4", "3.1.1"], ["3", "3.1"]])),
    field("User", text("user", { placeholder: "exactly" })),
    field("Listener", text("listener", { placeholder: "exactly" })),
    field("Order", pick("sort", [["", "By id"], ["queued", "Most queued"], ["inflight", "Most in flight"], ["dropped", "Most dropped"]])));
}

function showPage(page, q, { before, after }) {
  const rows = page.clients;
  if (rows.length === 0) return [missing(page.missing), empty("No client is like that.", "A session that is kept is here while its client is away, too.")];
  const cluster = new Set(rows.map((c) => c.node)).size > 1;
  return [missing(page.missing), h("div", { class: "card flush" }, table("Clients", clientColumns(cluster), rows), pager(rows.length, page.next, q, before, after))];
}

function pager(n, next, q, before, after) {
  const to = (list, place) => {
    const a = new URLSearchParams(Object.entries(q).filter(([, v]) => v !== ""));
    for (const b of list) a.append("before", b);
    if (place) a.set("after", place);
    return `#/clients?${a}`;
  };
  const first = before.length * perPage + 1;
  const link = (label, href, key) => (href ? h("a", { class: "button", href, data: { key } }, label) : h("span", { class: "button", "aria-disabled": "true" }, label));
  const back = after ? to(before.slice(0, -1), before.at(-1) === "first" ? "" : before.at(-1)) : null;
  const words = q.sort ? `The first ${plural(n, "client")} of this order` : `${count(first)} – ${count(first + n - 1)}`;
  return h("nav", { class: "pager", "aria-label": "Pages" }, h("span", { class: "muted" }, words), h("span", { class: "pager-links" },
    q.sort ? null : [link("Previous", back, "page-back"), link("Next", next ? to([...before, after || "first"], next) : null, "page-next")]));
}

export default { title: "Clients", render };
