// What an operator does to a node.

import { h, put } from "./dom.js";
import { call, get } from "./api.js";
import { button, card, changing, confirm, dot, failure, facts, field, loader, name, pageHead, select, tag, toast } from "./parts.js";
import { count, moment, plural } from "./format.js";

const levels = [["debug", "Debug"], ["info", "Info"], ["warn", "Warn"], ["error", "Error"]];
const phases = { none: "not draining", waiting: "waiting before the first is sent away", disconnecting: "sending clients away", done: "all were sent away" };

function render(ctx) {
  const list = loader(ctx, () => get("/api/v1/nodes", null, ctx.signal), ({ nodes }) => nodes.map((n) => nodeCard(ctx, n, list.run)));
  list.run();
  return h("div", { class: "view" },
    pageHead("Operate", "Each change asks first, and is in the node's log with the name of your token.", button("Refresh", list.run, { ico: "refresh" })), list.el,
    card("Elsewhere", h("ul", { class: "links" },
      h("li", null, h("a", { href: "/metrics" }, "/metrics"), " for Prometheus"),
      h("li", null, h("a", { href: "/readyz" }, "/readyz"), " and ", h("a", { href: "/healthz" }, "/healthz"), " for load balancers and managers"),
      h("li", null, h("code", null, "/api/v1/openapi.yaml"), " describes the API; it needs a token"))));
}

function nodeCard(ctx, n, again) {
  if (n.error) return card(n.name, failure({ message: n.error }));
  const query = n.self ? {} : { node: n.name };
  const state = h("div");
  const level = h("div", { class: "field inline" });
  const drainPlace = h("span");
  const refresh = async () => {
    try {
      const d = await get("/api/v1/drain", query, ctx.signal);
      put(state, drainFacts(n, d));
      put(drainPlace, drainButton(n, d, query, refresh));
    } catch (e) {
      if (e.name !== "AbortError") put(state, failure(e, refresh));
    }
  };
  refresh();
  ctx.every(3000, refresh);
  showLevel(ctx, n, query, level);
  const reload = changing(button("Reload the configuration", () => askReload(n, query, again)));
  const el = card(n.name, state, h("div", { class: "row" }, drainPlace, reload, level));
  if (n.self) el.querySelector(".card-head").append(tag("this node"));
  return el;
}

function drainFacts(n, d) {
  return facts([
    ["State", d.draining ? dot("warn", phases[d.phase] ?? d.phase) : n.ready ? dot("good", "ready") : dot("bad", n.reason || "not ready")],
    ["Connections", count(d.clients)], ["Version", n.version], ["Started", moment(n.started)],
  ]);
}

function drainButton(n, d, query, again) {
  if (d.draining) {
    return changing(button("End the drain", async () => {
      if (await confirm("End the drain?", [h("p", null, "Clients may come to ", name(n.name), " again.")], "End the drain", () => call("DELETE", "/api/v1/drain", { query }), "primary")) {
        toast("The drain has ended.");
        again();
      }
    }, { key: `undrain-${n.name}` }));
  }
  return changing(button("Drain", async () => {
    if (await confirm("Drain the node?", [h("p", null, name(n.name), " takes no new clients and sends those it has away, gradually: now ", plural(d.clients, "connection"), ". Its sessions stay."), "The process stays too. A drain can be ended."],
      "Drain", () => call("POST", "/api/v1/drain", { query }))) {
      toast("The drain has begun.");
      again();
    }
  }, { kind: "danger", key: `drain-${n.name}` }));
}

async function askReload(n, query, again) {
  let out = null;
  if (!await confirm("Reload the configuration?", [h("p", null, name(n.name), " reads its configuration and certificates again, as at SIGHUP. If something is wrong in it, nothing changes.")], "Reload", async () => {
    out = await call("POST", "/api/v1/reload", { query });
  }, "primary")) return;
  if (out.restart?.length > 0) toast(`In force, but for what needs a restart: ${out.restart.join(", ")}`, "warn");
  else toast("The configuration is in force.");
  again();
}

async function showLevel(ctx, n, query, place) {
  try {
    put(place, levelPick(n, (await get("/api/v1/log-level", query, ctx.signal)).level, query));
  } catch (e) {
    if (e.name !== "AbortError") put(place, h("span", { class: "muted" }, `Log level: ${e.message}`));
  }
}

function levelPick(n, level, query) {
  const pick = changing(select(levels, level, { data: { key: `level-${n.name}` } }));
  pick.addEventListener("change", async () => {
    const to = pick.value;
    pick.value = level;
    if (await confirm("Change the log level?", [h("p", null, name(n.name), ` logs from ${to} on, until its next reload or start.`)], "Change", () => call("PUT", "/api/v1/log-level", { query, body: { level: to } }), "primary")) {
      level = to;
      pick.value = to;
      toast(`The log level is ${to}.`);
    }
  });
  const f = field("Log level", pick);
  f.classList.add("inline");
  return f;
}

export default { title: "Operate", render };
