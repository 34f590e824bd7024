// A client to try things with: MQTT 5 over WebSocket, to the node of this page. It lives
// as long as somebody is signed in: other views can be looked at meanwhile, and what was
// filled in stays.

import { h, put } from "./dom.js";
import { onSignOut } from "./api.js";
import { Client } from "./mqtt.js";
import { button, card, cardWith, check, empty, facts, field, input, name, pageHead, select, tag } from "./parts.js";
import { messageForm } from "./message.js";
import { brief, bytesOf, fromBase64, payloadView } from "./payload.js";
import { clock, count, hex, plural } from "./format.js";
import { reason } from "./words.js";

const keep = 500; // lines of the log
const drawEvery = 150; // milliseconds

const c = fresh();

function fresh() {
  return { client: null, connected: false, id: "", subs: [], log: [], line: 0, counts: { in: 0, out: 0 }, packets: false, timer: 0, view: null };
}

// Who signs in next must find neither the connection nor the password.
onSignOut(() => {
  c.client?.disconnect();
  clearTimeout(c.timer);
  Object.assign(c, fresh());
});

function render() {
  c.view ??= build();
  draw();
  drawLog();
  return c.view.el;
}

function build() {
  const v = { state: h("div", { role: "status", class: "console-state" }), subs: h("div"), log: h("div", { class: "log", role: "log", tabIndex: 0, "aria-label": "Messages" }), numbers: h("span", { class: "muted" }) };
  v.connect = connectForm();
  v.subscribe = subscribeForm();
  v.publish = publishForm();
  const packets = check("Packets too", { on: { change: (e) => {
    c.packets = e.target.checked;
    drawLog();
  } } });
  v.el = h("div", { class: "view" }, pageHead("Test client", "MQTT 5 over WebSocket to this node. The rules for clients hold for it."),
    h("div", { class: "split even" },
      h("div", { class: "stack" }, cardWith("Connection", v.state, v.connect.el), card("Subscribe", v.subscribe, v.subs), card("Publish", v.publish)),
      cardWith("Log", h("span", { class: "row tight" }, v.numbers, packets, button("Clear", () => {
        c.log = [];
        c.counts = { in: 0, out: 0 };
        drawLog();
      }, { kind: "quiet" })), v.log)));
  return v;
}

function connectForm() {
  const f = {
    id: input({ placeholder: "the server chooses" }), user: input({ autocomplete: "off" }), password: input({ type: "password", autocomplete: "off" }),
    clean: check("Clean start", { checked: true }), expiry: input({ type: "number", min: 0, max: 4294967295, placeholder: "0" }), alive: input({ type: "number", min: 0, max: 65535, value: "60" }),
    willTopic: input({}), willPayload: input({}), willQoS: select([[0, "0"], [1, "1"], [2, "2"]], 0), willRetain: check("Retain", {}), willDelay: input({ type: "number", min: 0, max: 4294967295, placeholder: "0" }),
  };
  const go = button("Connect", null, { kind: "primary", type: "submit" });
  const form = h("form", { class: "fields", "aria-label": "Connection", on: { submit: (e) => {
    e.preventDefault();
    if (c.client) c.client.disconnect();
    else connect(f);
  } } },
  h("div", { class: "field-row" }, field("Client id", f.id), field("User name", f.user), field("Password", f.password)),
  h("div", { class: "field-row" }, field("Session expiry (s)", f.expiry), field("Keep alive (s)", f.alive), f.clean),
  h("details", null, h("summary", null, "Will"), h("div", { class: "fields" },
    h("div", { class: "field-row" }, field("Topic", f.willTopic), field("Payload", f.willPayload)),
    h("div", { class: "field-row" }, field("QoS", f.willQoS), field("Delay (s)", f.willDelay), f.willRetain))),
  h("div", { class: "row" }, go));
  return { el: form, go };
}

const checked = (el) => el.querySelector("input").checked;

async function connect(f) {
  const o = { id: f.id.value, user: f.user.value, password: f.password.value, clean: checked(f.clean), sessionExpiry: Number(f.expiry.value || 0), keepAlive: Number(f.alive.value || 0) };
  if (f.willTopic.value) {
    o.will = { topic: f.willTopic.value, payload: new TextEncoder().encode(f.willPayload.value), qos: Number(f.willQoS.value), retain: checked(f.willRetain), props: f.willDelay.value ? { willDelay: Number(f.willDelay.value) } : {} };
  }
  const url = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/mqtt`;
  const client = new Client(url, {
    onMessage: (p) => {
      c.counts.in += 1;
      note({ kind: "in", topic: p.topic, payload: p.payload, qos: p.qos, retain: p.retain, dup: p.dup, props: p.props });
    },
    onPacket: (out, p) => {
      if (p.type !== "PUBLISH") note({ kind: "packet", out, packet: p });
    },
    onClose: (words, p) => {
      note({ kind: p || words !== "Disconnected." ? "bad" : "note", words: p ? `The server disconnected: ${said(p.code, p.props)}` : words });
      gone(client);
    },
  });
  c.client = client;
  draw();
  try {
    const ack = await client.connect(o);
    c.id = ack.props.assignedId ?? o.id;
    c.connected = true;
    if (!ack.present) c.subs = [];
    note({ kind: "note", words: `Connected as ${c.id}${ack.present ? "; the session was there before" : ""}` });
  } catch (e) {
    if (e.packet?.type === "CONNACK") note({ kind: "bad", words: `Refused: ${said(e.packet.code, e.packet.props)}` });
    gone(client);
  }
  draw();
}

function gone(client) {
  if (c.client !== client) return;
  Object.assign(c, { client: null, connected: false });
  draw();
}

function said(code, props) {
  return `${reason(code)} (${hex(code)})${props?.reason ? `, “${props.reason}”` : ""}`;
}

function subscribeForm() {
  const f = {
    filter: input({ required: true, placeholder: "a/#", value: "" }), qos: select([[0, "0"], [1, "1"], [2, "2"]], 1), id: input({ type: "number", min: 1, max: 268435455, placeholder: "none" }),
    handling: select([[0, "always"], [1, "if the subscription is new"], [2, "never"]], 0), noLocal: check("No local", {}), asPublished: check("Retain as published", {}),
  };
  return h("form", { class: "fields", "aria-label": "Subscribe", on: { submit: async (e) => {
    e.preventDefault();
    await attempt(async () => {
      const filter = f.filter.value;
      const ack = await c.client.subscribe(filter, { qos: Number(f.qos.value), handling: Number(f.handling.value), noLocal: checked(f.noLocal), asPublished: checked(f.asPublished), id: Number(f.id.value) || undefined });
      const code = ack.codes[0];
      if (code >= 0x80) {
        note({ kind: "bad", words: `Not subscribed to ${filter}: ${said(code, ack.props)}` });
        return;
      }
      c.subs = [...c.subs.filter((s) => s.filter !== filter), { filter, qos: code }];
      note({ kind: "note", words: `Subscribed to ${filter} with QoS ${code}` });
      draw();
    });
  } } },
  h("div", { class: "field-row grow-first" }, field("Filter", f.filter), field("QoS", f.qos)),
  h("details", null, h("summary", null, "Options"), h("div", { class: "fields" },
    h("div", { class: "field-row" }, field("Retained messages", f.handling), field("Subscription identifier", f.id)), h("div", { class: "row" }, f.noLocal, f.asPublished))),
  h("div", { class: "row" }, button("Subscribe", null, { type: "submit", kind: "needs-connection" })));
}

function publishForm() {
  const m = messageForm({ qos: 0, retain: false });
  return h("form", { class: "fields", "aria-label": "Publish", on: { submit: async (e) => {
    e.preventDefault();
    await attempt(async () => {
      const v = m.read();
      const props = {
        payloadFormat: v.payload_format, expiry: v.expiry, contentType: v.content_type, responseTopic: v.response_topic,
        correlationData: v.correlation_data ? fromBase64(v.correlation_data) : undefined, user: v.user_properties?.map((p) => [p.name, p.value]),
      };
      const payload = bytesOf(v);
      const began = performance.now();
      const answer = c.client.publish({ topic: v.topic, payload, qos: v.qos, retain: v.retain, props });
      c.counts.out += 1;
      const line = note({ kind: "out", topic: v.topic, payload, qos: v.qos, retain: v.retain, props });
      const ack = await answer;
      if (!ack) return;
      line.ack = `${said(ack.code, ack.props)} after ${(performance.now() - began).toFixed(1)} ms`;
      line.bad = ack.code >= 0x80;
      drawLog();
    });
  } } }, m.el, h("div", { class: "row" }, button("Publish", null, { type: "submit", kind: "needs-connection" })));
}

async function attempt(f) {
  try {
    if (!c.connected) throw new Error("There is no connection.");
    await f();
  } catch (e) {
    note({ kind: "bad", words: e.message });
  }
}

function draw() {
  const v = c.view;
  if (!v) return;
  put(v.state, c.connected ? [tag("connected", "good"), " ", name(c.id)] : c.client ? tag("connecting…") : tag("not connected"));
  put(v.connect.go, c.client ? "Disconnect" : "Connect");
  v.connect.go.className = `button ${c.client ? "" : "primary"}`;
  for (const b of [v.subscribe, v.publish]) b.querySelector(".needs-connection").disabled = !c.connected;
  put(v.subs, c.subs.length === 0 ? null : h("ul", { class: "chips", "aria-label": "Subscriptions" }, c.subs.map((s) => h("li", { class: "chip" }, name(s.filter), h("span", { class: "muted" }, `QoS ${s.qos}`),
    h("button", { type: "button", class: "chip-x", "aria-label": `Unsubscribe from ${s.filter}`, disabled: !c.connected, on: { click: () => attempt(async () => {
      const ack = await c.client.unsubscribe(s.filter);
      c.subs = c.subs.filter((o) => o !== s);
      note({ kind: "note", words: `Unsubscribed from ${s.filter}: ${reason(ack.codes[0])}` });
      draw();
    }) } }, "×")))));
}

// note adds a line to the log; it answers the line.
function note(line) {
  line.at = Date.now();
  line.no = c.line += 1;
  c.log.unshift(line);
  if (c.log.length > keep) c.log.length = keep;
  if (!c.timer) {
    c.timer = setTimeout(() => {
      c.timer = 0;
      drawLog();
    }, drawEvery);
  }
  return line;
}

// drawLog keeps the elements of lines that are drawn already: what somebody has opened
// stays open.
function drawLog() {
  const v = c.view;
  if (!v) return;
  const lines = c.log.filter((l) => c.packets || l.kind !== "packet");
  put(v.numbers, `${plural(c.counts.in, "message")} in, ${count(c.counts.out)} out`);
  if (lines.length === 0) {
    put(v.log, empty("Nothing has been sent or received."));
    return;
  }
  put(v.log, lines.map((l) => {
    if (!l.el || l.drawnAck !== l.ack) {
      const open = l.el?.open;
      l.el = lineOf(l);
      if (open) l.el.open = true;
      l.drawnAck = l.ack;
    }
    return l.el;
  }));
}

function lineOf(l) {
  const time = h("time", null, clock(l.at));
  if (l.kind === "note" || l.kind === "bad") return h("p", { class: `line ${l.kind}` }, time, h("span", null, l.words));
  if (l.kind === "packet") {
    const p = l.packet;
    return h("p", { class: "line packet" }, time, tag(l.out ? "out" : "in", l.out ? "out" : "in"), h("span", null, p.type, p.id ? ` #${p.id}` : "", p.code ? ` ${hex(p.code)}` : "", p.codes ? ` ${p.codes.map(hex).join(" ")}` : ""), h("span", { class: "muted" }, `${count(p.size)} B`));
  }
  const summary = h("summary", { class: `line ${l.bad ? "bad" : ""}` }, time, tag(l.kind, l.kind), name(l.topic, "topic"), tag(`QoS ${l.qos}`), l.retain ? tag("retain") : null, l.dup ? tag("dup") : null,
    h("span", { class: "name brief" }, brief(l.payload)), l.ack ? h("span", { class: "sub" }, l.ack) : null);
  const el = h("details", { class: "entry", data: { key: `line-${l.no}` } }, summary);
  el.addEventListener("toggle", () => {
    if (el.open && el.childElementCount === 1) el.append(h("div", { class: "entry-body" }, propertyFacts(l.props), payloadView(l.payload)));
  });
  return el;
}

function propertyFacts(p = {}) {
  const text = (v) => (v === undefined ? null : name(String(v)));
  const list = [
    ["Format", p.payloadFormat === undefined ? null : p.payloadFormat === 1 ? "UTF-8" : "bytes"], ["Expires after", p.expiry === undefined ? null : `${p.expiry} s`], ["Content type", text(p.contentType)],
    ["Response topic", text(p.responseTopic)], ["Correlation", p.correlationData ? name(brief(p.correlationData)) : null], ["Subscription ids", p.subscriptionId ? p.subscriptionId.join(", ") : null],
    ...(p.user ?? []).map(([k, v]) => [name(k), name(v)]),
  ].filter(([, v]) => v !== null);
  return list.length > 0 ? facts(list) : null;
}

export default { title: "Test client", render };
