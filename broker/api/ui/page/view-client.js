// One client: who it is, what it subscribes to, what waits for it and what it did not get.

import { h, put } from "./dom.js";
import { call, clientPath, get, Problem } from "./api.js";
import { button, card, cardWith, changing, confirm, dialog, empty, facts, failure, link, loader, loading, name, pageHead, table, tag, toast } from "./parts.js";
import { ago, bytes, count, moment, plural, span, version } from "./format.js";
import { clientState } from "./view-clients.js";
import { addBan } from "./view-bans.js";
import { messageFacts, messageForm, resultWords } from "./message.js";
import { brief, bytesOf, payloadView } from "./payload.js";
import { drop } from "./words.js";

const refresh = 5000;
const heads = 50;

function render(ctx) {
  const id = ctx.params.get("id") ?? "";
  if (id === "" || id === "." || id === "..") {
    return h("div", { class: "view" }, pageHead("Client"), empty("Browsers cannot ask for a client of this id.", "skein ctl can."));
  }
  const path = (rest) => clientPath(id, rest);
  const body = h("div", { class: "stack" }, loading());
  const head = h("div");
  put(head, title(id, null));
  const parts = { facts: h("div"), drops: h("div"), subs: subscriptions(ctx, path), queue: held(ctx, path, "queue"), inflight: held(ctx, path, "inflight") };
  const view = h("div", { class: "view" }, h("p", { class: "crumb" }, link("clients", null, "Clients")), head, body);
  let had = false;
  const again = async () => {
    try {
      const c = await get(path(), null, ctx.signal);
      if (!had) put(body, parts.facts, h("div", { class: "grid two" }, parts.subs.el, parts.drops), parts.queue.el, parts.inflight.el);
      had = true;
      put(head, title(id, c, ctx, again));
      put(parts.facts, identity(c));
      put(parts.drops, drops(c));
      for (const p of [parts.subs, parts.queue, parts.inflight]) p.run(c);
    } catch (e) {
      if (e.name === "AbortError") return;
      had = false;
      put(head, title(id, null));
      put(body, e instanceof Problem && e.status === 404 ? empty("There is no such client now.", "It has no connection and no session that is kept.") : failure(e, again));
    }
  };
  again();
  ctx.every(refresh, again);
  return view;
}

function title(id, c, ctx, again) {
  const el = pageHead(name(id), c ? clientState(c) : null);
  if (c) el.append(h("div", { class: "actions" }, actions(id, c, ctx, again)));
  return el;
}

function actions(id, c, ctx, again) {
  const send = changing(button("Send a message", () => sendMessage(id), { key: "send" }));
  const trace = h("a", { class: "button", href: `#/trace?${new URLSearchParams({ client: id })}`, data: { key: "trace" } }, "Trace");
  const ban = changing(button("Ban", async () => {
    if (await addBan({ kind: "client", value: id })) again();
  }, { key: "ban" }));
  const cut = changing(button("Disconnect", async () => {
    if (await confirm("Disconnect the client?", [h("p", null, name(id), " is sent away (0x98). Its session stays if it is one that is kept.")], "Disconnect", () => call("POST", clientPath(id, "/disconnect")))) {
      toast("The client is disconnected.");
      again();
    }
  }, { key: "disconnect" }));
  if (!c.connected) cut.disabled = true;
  const del = changing(button("Delete the session", async () => {
    const words = [h("p", null, name(id), " is disconnected, and its session is deleted with all that is in it: ", plural(c.subscriptions, "subscription"), ", ", plural(c.queued + c.inflight, "message"), "."), "This cannot be undone."];
    if (await confirm("Delete the session?", words, "Delete", () => call("DELETE", clientPath(id)))) {
      toast("The session is deleted.");
      ctx.go("#/clients");
    }
  }, { kind: "danger", key: "delete" }));
  return [send, trace, ban, cut, del];
}

async function sendMessage(id) {
  const form = messageForm({ qos: 1 });
  let out = null;
  if (await dialog({ title: "Send a message to this client", verb: "Send", body: h("div", { class: "dialog-words" },
    h("p", { class: "muted" }, "It gets the message whatever it subscribes to; while it is away it waits in its session."), form.el),
  act: async () => {
    out = await call("POST", clientPath(id, "/messages"), { body: form.read() });
  } })) toast(resultWords(out));
}

function expiry(c) {
  if (c.expires_at) return `${moment(c.expires_at)} (${ago(c.expires_at)})`;
  if (c.expiry === null) return "never";
  return c.expiry === 0 ? "with its connection" : `${span(c.expiry)} after its connection`;
}

function identity(c) {
  return card("Identity and state", facts([
    ["User", c.user === undefined ? "none" : name(c.user)], ["MQTT", version(c.version)],
    ["Address", c.remote ? name(c.remote) : "–"], ["Listener", c.listener ? [name(c.listener), " ", tag(c.transport ?? "")] : "–"],
    ["Connected", c.since ? `${ago(c.since)}` : "–"], ["Node", name(c.node)],
    ["Session ends", expiry(c)], ["Kept", c.persistent ? "yes" : "no"], ["Will", c.will ? "yes" : "no"],
    ["Subscriptions", count(c.subscriptions)], ["Queued", `${count(c.queued)} (${bytes(c.queued_bytes)})`], ["In flight", count(c.inflight)], ["Dropped", count(c.dropped)],
  ]));
}

function drops(c) {
  const rows = Object.entries(c.drops ?? {}).sort((a, b) => b[1] - a[1]);
  return card("Why messages were dropped", rows.length === 0 ? empty("None was dropped.") : table("Dropped messages", [
    { head: "Reason", cell: ([r]) => [h("strong", null, drop(r).label), h("span", { class: "sub" }, drop(r).why)] },
    { head: "Messages", num: true, cell: ([, n]) => count(n) },
  ], rows));
}

// subscriptions shows a page, and more of them on request.
function subscriptions(ctx, path) {
  let limit = 100;
  const list = loader(ctx, () => get(path("/subscriptions"), { limit }, ctx.signal), (page) => {
    if (page.subscriptions.length === 0) return empty("It subscribes to nothing.");
    return [table("Subscriptions", [
      { head: "Filter", cls: "wide", cell: (s) => name(s.filter) },
      { head: "QoS", num: true, cell: (s) => s.qos },
      { head: "Options", cell: options },
    ], page.subscriptions), page.next && limit < 1000 ? h("div", { class: "more" }, button("Show more", () => {
      limit = 1000;
      list.run();
    }, { key: "more-subs" })) : page.next ? h("p", { class: "hint more" }, "The first 1,000 are shown.") : null];
  });
  return { el: card("Subscriptions", list.el), run: list.run };
}

function options(s) {
  return [s.id ? tag(`id ${s.id}`) : null, s.no_local ? tag("no local") : null, s.retain_as_published ? tag("as published") : null,
    s.retain_handling === 1 ? tag("retained if new") : s.retain_handling === 2 ? tag("no retained") : null].filter(Boolean).flatMap((t) => [t, " "]);
}

// held are the oldest messages of the queue or the window.
function held(ctx, path, what) {
  const words = { queue: ["Queue", "Nothing waits."], inflight: ["In flight", "Nothing is to be acknowledged."] }[what];
  const list = loader(ctx, () => get(path(`/${what}`), { limit: heads, max_payload: 256 }, ctx.signal), (page) => {
    if (page.entries.length === 0) return empty(words[1]);
    return [table(words[0], [
      { head: "No.", num: true, low: true, cell: (e) => e.seq },
      { head: "Topic", cls: "wide", cell: (e) => name(e.topic) },
      { head: "QoS", num: true, cell: (e) => e.qos ?? 0 },
      { head: "Phase", low: true, cell: (e) => tag(e.phase) },
      what === "inflight" ? { head: "Packet", num: true, low: true, cell: (e) => e.packet_id } : null,
      { head: "Age", num: true, cell: (e) => ago(e.created).replace(" ago", "") },
      { head: "Size", num: true, low: true, cell: (e) => bytes(e.size) },
      { head: "Payload", low: true, cls: "wide", cell: (e) => h("button", { class: "text-button name", type: "button", data: { key: `${what}-${e.seq}` }, on: { click: () => showEntry(e) } }, brief(bytesOf(e))) },
    ].filter(Boolean), page.entries), page.more ? h("p", { class: "hint more" }, `The oldest ${page.entries.length} are shown.`) : null];
  });
  return { el: cardWith(words[0], h("span", { class: "muted" }, "oldest first"), list.el), run: list.run };
}

function showEntry(e) {
  dialog({ title: "Message", verb: "Close", body: h("div", { class: "dialog-words" }, h("p", null, name(e.topic)), messageFacts(e), payloadView(bytesOf(e), { truncated: e.truncated, whole: e.size })), act: async () => {} });
}

export default { title: "Client", render };
