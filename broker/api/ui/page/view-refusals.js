// Who and what was refused, and by which rule.

import { h } from "./dom.js";
import { get } from "./api.js";
import { button, choice, clientLink, empty, loader, missing, name, pageHead, table, tag } from "./parts.js";
import { clock, hex, moment } from "./format.js";
import { reason } from "./words.js";

const refresh = 5000;
let what = ""; // stays while the page does

function render(ctx) {
  const list = loader(ctx, () => get("/api/v1/refusals", { limit: 500 }, ctx.signal), show);
  list.run();
  ctx.every(refresh, list.run);
  return h("div", { class: "view" },
    pageHead("Refusals", "The most recent connections, publishes and subscriptions that were refused, newest first.",
      choice("What", [["", "All"], ["connect", "Connect"], ["publish", "Publish"], ["subscribe", "Subscribe"]], what, (v) => {
        what = v;
        list.run();
      }), button("Refresh", list.run, { ico: "refresh" })), list.el);
}

function show(page) {
  const rows = page.refusals.filter((r) => !what || r.what === what);
  if (rows.length === 0) return [missing(page.missing), empty(what ? `No ${what} was refused lately.` : "Nothing was refused lately.", "The list is of this run of the nodes, and of bounded length.")];
  return [missing(page.missing), h("div", { class: "card flush" }, table("Refusals", [
    { head: "Time", cls: "tight", cell: (r) => h("time", { datetime: r.time, title: moment(r.time) }, clock(r.time, false)) },
    { head: "What", cls: "tight", cell: (r) => tag(r.what) },
    { head: "Rule", cls: "tight", cell: (r) => name(r.rule) },
    { head: "Reason", cls: "id", cell: (r) => [reason(r.code), " ", h("span", { class: "code" }, hex(r.code))] },
    { head: "Client", cls: "id named", cell: (r) => (r.client ? clientLink(r.client) : null) },
    { head: "User", cls: "id named", cell: (r) => (r.user ? name(r.user) : null) },
    { head: "Topic", cls: "id named", cell: (r) => (r.topic ? name(r.topic) : null) },
    { head: "Address", cls: "tight named", cell: (r) => (r.remote ? name(r.remote) : null) },
    { head: "Listener", low: true, cell: (r) => (r.listener ? name(r.listener) : "–") },
    { head: "Node", low: true, cls: "tight", cell: (r) => name(r.node) },
  ], rows, { stack: true }))];
}

export default { title: "Refusals", render };
