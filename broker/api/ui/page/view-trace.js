// What happens to a client, a topic or a network, as it happens.

import { h, put } from "./dom.js";
import { events, session } from "./api.js";
import { button, check, clientLink, empty, failure, field, input, name, pageHead, select, table, tag } from "./parts.js";
import { clock, count, hex, plural, seconds } from "./format.js";
import { reason } from "./words.js";
import { brief, fromBase64 } from "./payload.js";

const keep = 500; // events
const drawEvery = 250; // milliseconds: events may come faster than anybody reads

function render(ctx) {
  const f = {
    client: input({ value: ctx.params.get("client") ?? "", placeholder: "id" }), topic: input({ placeholder: "filter, as a/#" }),
    ip: input({ placeholder: "address or network" }), duration: select([["30s", "30 s"], ["60s", "1 min"], ["5m", "5 min"], ["10m", "10 min"]], "60s"),
    rate: select([[50, "50/s"], [100, "100/s"], [500, "500/s"], [1000, "1,000/s"]], 100), payload: check("With payloads", {}),
  };
  const t = { f, list: [], stop: null, state: h("div", { role: "status" }), log: h("div"), count: 0, timer: 0 };
  t.go = button("Start", null, { kind: "primary", type: "submit" });
  if (!session.mayWrite) {
    t.go.disabled = true;
    t.go.title = "A trace needs a token that may write";
    put(t.state, h("p", { class: "notice warn" }, "A trace shows what others send: it needs a token of scope write."));
  }
  ctx.signal.addEventListener("abort", () => t.stop?.abort());
  put(t.log, empty("Nothing is traced.", "Say at least one of client, topic and address; all that are said must match."));
  return h("div", { class: "view" }, pageHead("Trace", "Packets and decisions as they happen, of all nodes, for a while."),
    h("form", { class: "toolbar", "aria-label": "What to trace", on: { submit: (e) => {
      e.preventDefault();
      if (t.stop) t.stop.abort();
      else run(t);
    } } }, field("Client", f.client), field("Topic", f.topic), field("Address", f.ip), field("For", f.duration), field("At most", f.rate), f.payload, t.go),
    t.state, t.log);
}

async function run(t) {
  const { f } = t;
  const query = { client: f.client.value, topic: f.topic.value, ip: f.ip.value.trim(), duration: f.duration.value, rate: f.rate.value, payload: String(f.payload.querySelector("input").checked) };
  t.stop = new AbortController();
  Object.assign(t, { list: [], count: 0 });
  put(t.go, "Stop");
  put(t.state);
  let end = null;
  try {
    await events("/api/v1/trace", query, t.stop.signal, (kind, v) => {
      if (kind === "end") end = v;
      if (kind === "trace") take(t, v);
    }, () => {
      put(t.state, h("p", { class: "notice live" }, "Tracing…"));
      put(t.log, empty("Nothing has happened yet."));
    });
    finished(t, end ? `The trace ended: ${end.reason}.${end.lost ? ` ${count(end.lost)} events were over the rate and are not shown.` : ""}` : "The node closed the trace.");
  } catch (e) {
    if (e.name === "AbortError") finished(t, "Stopped.");
    else put(t.state, failure(e.status === 501 ? { message: "This node cannot trace." } : e));
  }
  t.stop = null;
  put(t.go, "Start");
}

function finished(t, words) {
  draw(t);
  put(t.state, h("p", { class: "notice" }, words, " ", plural(t.count, "event"), "."));
}

function take(t, v) {
  t.count += 1;
  t.list.unshift(v);
  if (t.list.length > keep) t.list.length = keep;
  if (t.timer) return;
  t.timer = setTimeout(() => {
    t.timer = 0;
    if (t.stop) put(t.state, h("p", { class: "notice live" }, `Tracing… ${plural(t.count, "event")}`));
    draw(t);
  }, drawEvery);
}

function draw(t) {
  if (t.list.length === 0) return;
  put(t.log, h("div", { class: "card flush" }, table("Trace", [
    { head: "Time", cls: "tight", cell: (v) => clock(v.time) },
    { head: "", cls: "tight", cell: (v) => (v.kind === "packet" ? tag(v.in ? "in" : "out", v.in ? "in" : "out") : tag("decision")) },
    { head: "What", cls: "tight", cell: what },
    { head: "Client", cls: "id", cell: (v) => (v.client ? clientLink(v.client) : null) },
    { head: "Topic", cls: "wide", cell: (v) => (v.topic ? name(v.topic) : null) },
    { head: "Details", cls: "wide full", cell: details },
    { head: "Took", num: true, low: true, cell: (v) => (v.took_sec ? seconds(v.took_sec) : null) },
    new Set(t.list.map((v) => v.node)).size > 1 ? { head: "Node", cls: "tight", cell: (v) => name(v.node) } : null,
  ].filter(Boolean), t.list, { stack: true, rowClass: (v) => (v.decision === "dropped" || v.decision === "refused" || v.code >= 0x80 ? "row-bad" : undefined) })));
}

function what(v) {
  if (v.kind !== "packet") return h("strong", null, v.decision ?? "");
  return [h("strong", null, v.packet ?? ""), v.packet_id ? h("span", { class: "muted" }, ` #${v.packet_id}`) : null];
}

function details(v) {
  return [
    v.packet === "PUBLISH" ? tag(`QoS ${v.qos ?? 0}`) : null, v.retain ? tag("retain") : null, v.dup ? tag("dup") : null,
    v.rule ? h("span", null, name(v.rule, "plain")) : null, v.target ? h("span", null, "→ ", name(v.target)) : null,
    v.code ? h("span", null, reason(v.code), " ", h("span", { class: "code" }, hex(v.code))) : null,
    v.count ? tag(`${count(v.count)} messages`) : null,
    v.size ? h("span", { class: "muted" }, `${count(v.size)} B`) : null,
    v.payload ? h("span", { class: "name sub" }, brief(fromBase64(v.payload))) : null,
  ].filter(Boolean).flatMap((el) => [el, " "]);
}

export default { title: "Trace", render };
