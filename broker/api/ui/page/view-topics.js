// Retained messages: level by level, or all that match a filter; read, set, delete.

import { h, put } from "./dom.js";
import { call, get, Problem } from "./api.js";
import { address, button, card, changing, choice, clientLink, confirm, dialog, empty, failure, field, input, loader, missing, name, pageHead, table, tag, toast } from "./parts.js";
import { brief, bytesOf, payloadView, textOf } from "./payload.js";
import { messageFacts, messageForm, resultWords } from "./message.js";
import { tree } from "./tree.js";

const perPage = 100;

function render(ctx) {
  const way = ctx.params.get("filter") === null ? "tree" : "filter";
  const detail = h("div", { class: "topic-detail" });
  const side = h("div", { class: "topic-side card" });
  const view = { ctx, detail, side, topic: ctx.params.get("topic") ?? "", redraw: () => drawSide(view, way) };
  drawSide(view, way);
  drawDetail(view);
  return h("div", { class: "view" },
    pageHead("Topics", "Retained messages, of all nodes.",
      choice("Shown as", [["tree", "Tree"], ["filter", "Filter"]], way, (v) => ctx.go(address("topics", { topic: view.topic }) + (v === "filter" ? `${view.topic ? "&" : "?"}filter=%23` : ""))),
      changing(button("Set a retained message", () => setMessage(view, ""), { kind: "primary" }))),
    h("div", { class: "split" }, side, detail));
}

function drawSide(view, way) {
  if (way === "filter") drawFilter(view);
  else drawTree(view);
}

function drawTree(view) {
  const problem = h("div");
  const load = async (topic, after) => {
    const page = await get("/api/v1/topics", topic === "" ? { after, limit: perPage } : { parent: topic, after, limit: perPage }, view.ctx.signal);
    put(problem);
    return { next: page.next, items: page.topics.map((l) => ({ key: l.topic, label: l.name === "" ? h("i", { class: "muted" }, "(empty level)") : name(l.name), leaf: !l.children, mark: l.retained })) };
  };
  const t = tree("Topics", load, (item) => pick(view, item.key), (e) => put(problem, failure(e, () => t.reload(view.topic))));
  put(view.side, problem, t.el);
  t.reload(view.topic);
}

function drawFilter(view) {
  const pages = [];
  view.filter ??= view.ctx.params.get("filter") || "#";
  const box = input({ value: view.filter, id: "topic-filter" });
  const list = loader(view.ctx, () => get("/api/v1/retained", { filter: view.filter, after: pages.at(-1), limit: 50, max_payload: 128 }, view.ctx.signal), (page) => {
    if (page.messages.length === 0) return empty("No retained message matches.", "Topics that begin with $ need a filter that does: $SYS/#");
    return [h("ul", { class: "picks" }, page.messages.map((m) => h("li", null, h("button", { type: "button", class: "pick", data: { key: `t-${m.topic}` }, on: { click: () => pick(view, m.topic) } },
      name(m.topic), h("span", { class: "sub name" }, brief(bytesOf(m))))))),
    h("div", { class: "more" }, pages.length > 0 ? button("First page", () => {
      pages.length = 0;
      list.run();
    }, { key: "first" }) : null, page.next ? button("Next page", () => {
      pages.push(page.next);
      list.run();
    }, { key: "next" }) : null)];
  });
  put(view.side, h("form", { class: "side-form", role: "search", on: { submit: (e) => {
    e.preventDefault();
    view.filter = box.value || "#";
    pages.length = 0;
    view.ctx.go(`${address("topics", { topic: view.topic })}${view.topic ? "&" : "?"}filter=${encodeURIComponent(view.filter)}`, { replace: true });
    list.run();
  } } }, field("Topic filter", box), button("Show", null, { type: "submit" })), list.el);
  list.run();
}

function pick(view, topic) {
  view.topic = topic;
  const filter = view.filter === undefined ? "" : `&filter=${encodeURIComponent(view.filter)}`;
  view.ctx.go(address("topics", { topic }) + filter, { replace: true });
  drawDetail(view);
  if (window.matchMedia("(max-width: 760px)").matches) view.detail.scrollIntoView({ block: "start" });
}

function drawDetail(view) {
  const { topic, ctx } = view;
  if (topic === "") {
    put(view.detail, card("Message", empty("Choose a topic.", view.filter === undefined ? "Topics with a mark have a retained message." : "Those listed have a retained message.")));
    return;
  }
  const message = loader(ctx, () => readMessage(topic, ctx.signal), (m) => (m ? [messageFacts(m), payloadView(bytesOf(m))] : empty("This topic has no retained message.", "Those below it may.")));
  const reach = loader(ctx, () => get("/api/v1/subscribers", { topic, limit: 100 }, ctx.signal), showReach);
  message.run();
  reach.run();
  put(view.detail,
    h("section", { class: "card" }, h("header", { class: "card-head" }, h("h2", null, name(topic))), message.el,
      h("div", { class: "row" }, changing(button("Set", () => setMessage(view, topic))), changing(button("Delete", () => deleteMessage(view, topic), { kind: "danger" })), button("Refresh", () => {
        message.run();
        reach.run();
      }, { ico: "refresh", kind: "quiet" }))),
    card("Whom a message to it reaches", reach.el));
}

async function readMessage(topic, signal) {
  try {
    return await get("/api/v1/retained/message", { topic }, signal);
  } catch (e) {
    if (e instanceof Problem && e.status === 404) return null;
    throw e;
  }
}

function showReach(page) {
  if (page.subscribers.length === 0) return [missing(page.missing), empty("Nobody subscribes to it.")];
  return [missing(page.missing), table("Subscribers", [
    { head: "Whom", cls: "wide", cell: (s) => (s.client ? clientLink(s.client) : [tag("group"), " ", name(s.group), " ", name(s.filter ?? "")]) },
    { head: "QoS", num: true, cell: (s) => s.qos },
    { head: "Node", low: true, cell: (s) => name(s.node) },
  ], page.subscribers), page.more ? h("p", { class: "hint more" }, "More than these.") : null];
}

async function setMessage(view, topic) {
  let old = null;
  if (topic) {
    try {
      old = await readMessage(topic, view.ctx.signal);
    } catch (e) {
      if (e.name === "AbortError") return;
      toast(e.message, "bad");
      return;
    }
  }
  const form = messageForm({ topic, topicFixed: topic !== "", qos: old?.qos ?? 1, payload: old ? textOf(bytesOf(old)) ?? "" : "" });
  let out = null;
  if (await dialog({ title: "Set a retained message", verb: "Publish", body: form.el, act: async () => {
    const body = form.read();
    out = await call("PUT", "/api/v1/retained/message", { query: { topic: body.topic }, body });
    view.topic = body.topic;
  } })) {
    toast(resultWords(out));
    view.redraw();
    drawDetail(view);
  }
}

async function deleteMessage(view, topic) {
  if (await confirm("Delete the retained message?", [h("p", null, "The one of ", name(topic), ". Subscribers get an empty message, as from a client that deletes it.")], "Delete", () => call("DELETE", "/api/v1/retained/message", { query: { topic } }))) {
    toast("It is deleted.");
    view.redraw();
    drawDetail(view);
  }
}

export default { title: "Topics", render };
