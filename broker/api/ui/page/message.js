// Messages: what is shown of one, and the form that makes one.

import { h } from "./dom.js";
import { button, check, facts, field, input, name, select } from "./parts.js";
import { fromBase64, parseHex, textOf, toBase64 } from "./payload.js";
import { bytes, moment } from "./format.js";

// messageFacts are what a message of the API has beside its payload.
export function messageFacts(m, more = []) {
  return facts([
    ["QoS", String(m.qos ?? 0)], m.retain === undefined ? null : ["Retained", m.retain ? "yes" : "no"],
    m.size === undefined ? null : ["Size", bytes(m.size)],
    m.created ? ["Published", moment(m.created)] : null,
    m.publisher ? ["By", name(m.publisher)] : null, m.user ? ["User", name(m.user)] : null,
    m.expires_at ? ["Expires", moment(m.expires_at)] : m.expiry !== undefined ? ["Expires after", `${m.expiry} s`] : null,
    m.payload_format === undefined ? null : ["Format", m.payload_format === 1 ? "UTF-8" : "bytes"],
    m.content_type ? ["Content type", name(m.content_type)] : null,
    m.response_topic ? ["Response topic", name(m.response_topic)] : null,
    m.correlation_data ? ["Correlation", correlation(m.correlation_data)] : null,
    ...(m.user_properties ?? []).map((p) => [name(p.name), name(p.value)]),
    ...more,
  ]);
}

function correlation(base64) {
  const data = fromBase64(base64);
  return name(textOf(data) ?? [...data].map((b) => b.toString(16).padStart(2, "0")).join(" "));
}

// messageForm has read(): a message as the API has it; it throws what is wrong with it.
// Options: topic, topicFixed, qos, retain (absent: no such box), payload.
export function messageForm(options = {}) {
  const f = {
    topic: input({ value: options.topic ?? "", required: true, readonly: options.topicFixed === true, placeholder: "a/topic" }),
    payload: h("textarea", { rows: 5, spellcheck: "false", value: options.payload ?? "" }),
    form: select([["text", "Text"], ["json", "JSON"], ["hex", "Hex"], ["base64", "Base64"]], "text"),
    qos: select([[0, "0 – at most once"], [1, "1 – at least once"], [2, "2 – exactly once"]], options.qos ?? 0),
    retain: check("Retain", { checked: options.retain === true }),
    expiry: input({ type: "number", min: 0, max: 4294967295, step: 1, placeholder: "never" }),
    utf8: check("Payload is UTF-8 (payload format 1)", {}),
    contentType: input({ placeholder: "application/json" }), responseTopic: input({}), correlation: input({}),
  };
  const users = userProperties();
  const el = h("div", { class: "fields message-form" },
    h("div", { class: "field-row grow-first" }, field("Topic", f.topic), field("QoS", f.qos), options.retain === undefined ? null : f.retain),
    h("div", { class: "field-row grow-first" }, field("Payload", f.payload), field("Payload as", f.form)),
    h("details", null, h("summary", null, "Properties"), h("div", { class: "fields" },
      h("div", { class: "field-row" }, field("Expires after (s)", f.expiry), field("Content type", f.contentType)),
      h("div", { class: "field-row" }, field("Response topic", f.responseTopic), field("Correlation data", f.correlation)),
      f.utf8, users.el)));
  return { el, topic: f.topic, read: () => read(f, users, options.retain !== undefined) };
}

function read(f, users, mayRetain) {
  const m = { topic: f.topic.value, qos: Number(f.qos.value) };
  if (mayRetain) m.retain = f.retain.querySelector("input").checked;
  Object.assign(m, readPayload(f.payload.value, f.form.value));
  if (f.expiry.value !== "") m.expiry = Number(f.expiry.value);
  if (f.utf8.querySelector("input").checked) m.payload_format = 1;
  if (f.contentType.value) m.content_type = f.contentType.value;
  if (f.responseTopic.value) m.response_topic = f.responseTopic.value;
  if (f.correlation.value) m.correlation_data = toBase64(new TextEncoder().encode(f.correlation.value));
  const list = users.read();
  if (list.length > 0) m.user_properties = list;
  return m;
}

function readPayload(text, form) {
  switch (form) {
    case "hex": {
      const data = parseHex(text);
      if (!data) throw new Error("The payload is not pairs of hexadecimal digits.");
      return { payload_base64: toBase64(data) };
    }
    case "base64":
      try {
        return { payload_base64: toBase64(fromBase64(text.trim())) };
      } catch {
        throw new Error("The payload is not Base64.");
      }
    case "json":
      try {
        JSON.parse(text);
      } catch (e) {
        throw new Error(`The payload is not JSON: ${e.message}`);
      }
  }
  return { payload: text };
}

// userProperties is a list of names and values, in order; names may repeat.
export function userProperties() {
  const rows = h("div", { class: "rows" });
  const add = () => {
    const key = input({ placeholder: "name", "aria-label": "Name of the property" });
    const row = h("div", { class: "pair" }, key, input({ placeholder: "value", "aria-label": "Value of the property" }),
      button("Remove", () => {
        row.remove();
        more.focus();
      }, { kind: "quiet" }));
    rows.append(row);
    key.focus();
  };
  const more = button("Add a user property", add);
  return {
    el: h("div", { class: "fields" }, rows, h("div", null, more)),
    read: () => [...rows.children].map((r) => [...r.querySelectorAll("input")].map((i) => i.value)).filter(([k, v]) => k || v).map(([k, v]) => ({ name: k, value: v })),
  };
}

// resultWords is what became of a message that was published by the API.
export function resultWords(p) {
  const r = p.results[0];
  if (p.timed_out) return "It is not known yet whether it is stored.";
  if (r.matched === 0) return "Published; nobody subscribes.";
  return `Published; it reached ${r.matched} ${r.matched === 1 ? "session or group" : "sessions and groups"}${r.dropped ? `, of which ${r.dropped} will not get it` : ""}.`;
}

