// MQTT 5 over WebSocket: the codec, and a client that runs the flows of QoS 0, 1 and 2.

const utf8 = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export const types = ["", "CONNECT", "CONNACK", "PUBLISH", "PUBACK", "PUBREC", "PUBREL", "PUBCOMP", "SUBSCRIBE", "SUBACK", "UNSUBSCRIBE", "UNSUBACK", "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"];
const type = Object.fromEntries(types.map((name, i) => [name, i]));

// properties are those of MQTT 5 [2.2.2.2]: identifier, kind.
const properties = {
  payloadFormat: [0x01, "byte"], expiry: [0x02, "u32"], contentType: [0x03, "text"], responseTopic: [0x08, "text"], correlationData: [0x09, "data"],
  subscriptionId: [0x0B, "varint"], sessionExpiry: [0x11, "u32"], assignedId: [0x12, "text"], serverKeepAlive: [0x13, "u16"], authMethod: [0x15, "text"],
  authData: [0x16, "data"], willDelay: [0x18, "u32"], responseInfo: [0x1A, "text"], serverReference: [0x1C, "text"], reason: [0x1F, "text"],
  receiveMaximum: [0x21, "u16"], topicAliasMaximum: [0x22, "u16"], topicAlias: [0x23, "u16"], maximumQoS: [0x24, "byte"], retainAvailable: [0x25, "byte"],
  user: [0x26, "pair"], maximumPacketSize: [0x27, "u32"], wildcardAvailable: [0x28, "byte"], idsAvailable: [0x29, "byte"], sharedAvailable: [0x2A, "byte"],
};
const byId = new Map(Object.entries(properties).map(([name, [id, kind]]) => [id, [name, kind]]));
const many = new Set(["user", "subscriptionId"]); // may stand more than once: always a list

// Writer puts a packet together.
class Writer {
  parts = [];

  byte(v) {
    this.parts.push(v & 0xff);
    return this;
  }

  u16(v) {
    return this.byte(v >>> 8).byte(v);
  }

  u32(v) {
    return this.u16(Math.floor(v / 65536)).u16(v % 65536);
  }

  varint(v) {
    let left = v;
    do {
      const c = left % 128;
      left = Math.floor(left / 128);
      this.byte(left > 0 ? c | 0x80 : c);
    } while (left > 0);
    return this;
  }

  raw(data) {
    for (const b of data) this.parts.push(b);
    return this;
  }

  data(data) {
    if (data.length > 65535) throw new Error("A text of a packet has at most 65,535 bytes.");
    return this.u16(data.length).raw(data);
  }

  text(v) {
    return this.data(utf8.encode(v));
  }

  props(list) {
    const w = new Writer();
    for (const [name, value] of Object.entries(list ?? {})) {
      if (value === undefined || value === null) continue;
      const [id, kind] = properties[name];
      for (const v of many.has(name) ? value : [value]) {
        w.varint(id);
        if (kind === "pair") w.text(v[0]).text(v[1]);
        else w[kind](v);
      }
    }
    return this.varint(w.parts.length).raw(w.parts);
  }

  packet(first) {
    const head = new Writer().byte(first).varint(this.parts.length);
    return Uint8Array.from([...head.parts, ...this.parts]);
  }
}

// Reader takes a packet apart. It throws at anything that is not as it must be.
class Reader {
  constructor(data) {
    this.data = data;
    this.at = 0;
  }

  get left() {
    return this.data.length - this.at;
  }

  byte() {
    if (this.left < 1) throw new Error("a packet ends early");
    return this.data[this.at++];
  }

  u16() {
    return this.byte() * 256 + this.byte();
  }

  u32() {
    return this.u16() * 65536 + this.u16();
  }

  varint() {
    let v = 0;
    for (let scale = 1; scale <= 128 ** 3; scale *= 128) {
      const c = this.byte();
      v += (c & 0x7f) * scale;
      if (c < 0x80) return v;
    }
    throw new Error("a length is too long");
  }

  take(n) {
    if (n > this.left) throw new Error("a packet ends early");
    this.at += n;
    return this.data.subarray(this.at - n, this.at);
  }

  readData() {
    return this.take(this.u16()).slice();
  }

  text() {
    return strict.decode(this.take(this.u16()));
  }

  props() {
    const r = new Reader(this.take(this.varint()));
    const out = {};
    while (r.left > 0) {
      const known = byId.get(r.varint());
      if (!known) throw new Error("a property is not known");
      const [name, kind] = known;
      const v = kind === "pair" ? [r.text(), r.text()] : kind === "data" ? r.readData() : r[kind]();
      if (many.has(name)) (out[name] ??= []).push(v);
      else out[name] = v;
    }
    return out;
  }
}

function decodeBody(first, data) {
  const kind = first >> 4;
  const r = new Reader(data);
  const p = { type: types[kind], flags: first & 15, size: data.length };
  switch (kind) {
    case type.CONNACK:
      return Object.assign(p, { present: (r.byte() & 1) === 1, code: r.byte(), props: r.props() });
    case type.PUBLISH:
      Object.assign(p, { qos: first >> 1 & 3, retain: (first & 1) === 1, dup: (first & 8) !== 0, topic: r.text() });
      if (p.qos > 0) p.id = r.u16();
      p.props = r.props();
      p.payload = r.take(r.left).slice();
      return p;
    case type.PUBACK: case type.PUBREC: case type.PUBREL: case type.PUBCOMP:
      p.id = r.u16();
      return Object.assign(p, { code: r.left > 0 ? r.byte() : 0, props: r.left > 0 ? r.props() : {} });
    case type.SUBACK: case type.UNSUBACK:
      return Object.assign(p, { id: r.u16(), props: r.props(), codes: [...r.take(r.left)] });
    case type.DISCONNECT: case type.AUTH:
      return Object.assign(p, { code: r.left > 0 ? r.byte() : 0, props: r.left > 0 ? r.props() : {} });
    case type.PINGRESP:
      return p;
  }
  throw new Error(`a server does not send packets of type ${kind}`);
}

// Splitter finds the packets in what arrives: frames of WebSocket may end anywhere.
export class Splitter {
  rest = new Uint8Array(0);

  // push answers the packets that are whole now.
  push(chunk) {
    const data = new Uint8Array(this.rest.length + chunk.length);
    data.set(this.rest);
    data.set(chunk, this.rest.length);
    const out = [];
    let at = 0;
    for (;;) {
      const head = header(data, at);
      if (!head || head.end > data.length) break;
      out.push(decodeBody(data[at], data.subarray(head.body, head.end)));
      at = head.end;
    }
    this.rest = data.slice(at);
    return out;
  }
}

function header(data, at) {
  let length = 0;
  for (let i = 1; i <= 4; i += 1) {
    if (at + i >= data.length) return null;
    const c = data[at + i];
    length += (c & 0x7f) * 128 ** (i - 1);
    if (c < 0x80) return { body: at + i + 1, end: at + i + 1 + length };
  }
  throw new Error("a length is too long");
}

const answerTime = 20000; // milliseconds in which an answer must come

// Client is one connection. Handlers: onMessage(publish), onPacket(out, packet),
// onClose(words), which is called once, also when connecting failed.
export class Client {
  constructor(url, handlers) {
    this.url = url;
    this.handlers = handlers;
    this.splitter = new Splitter();
    this.waiting = new Map(); // packet id: { want, resolve, reject }
    this.received = new Set(); // ids of QoS 2 that are not released
    this.last = 0;
    this.inflight = 0;
    this.limits = { receive: 65535, size: 268435460 };
    this.closed = false;
  }

  // connect answers the CONNACK; a refusal is thrown.
  connect(o) {
    return new Promise((resolve, reject) => {
      this.onConnack = { resolve, reject };
      this.ws = new WebSocket(this.url, "mqtt");
      this.ws.binaryType = "arraybuffer";
      this.timer = setTimeout(() => this.end("The server did not answer in time."), answerTime);
      this.ws.onopen = () => this.send("CONNECT", connectPacket(o), { id: o.id });
      this.ws.onmessage = (e) => this.read(e.data);
      this.ws.onclose = () => this.end(this.last ? "The connection was closed." : "The connection was closed before the server answered.");
      this.keepAlive = o.keepAlive ?? 60;
    });
  }

  read(data) {
    try {
      if (!(data instanceof ArrayBuffer)) throw new Error("a frame is text");
      for (const p of this.splitter.push(new Uint8Array(data))) this.take(p);
    } catch (e) {
      this.end(`What the server sent is wrong: ${e.message}.`);
    }
  }

  take(p) {
    this.handlers.onPacket?.(false, p);
    switch (p.type) {
      case "CONNACK": return this.connack(p);
      case "PUBLISH": return this.publishIn(p);
      case "PUBREL":
        this.received.delete(p.id);
        return this.ack("PUBCOMP", p.id);
      case "PUBREC":
        if (p.code >= 0x80) return this.settle(p);
        if (this.waiting.has(p.id)) this.waiting.get(p.id).want = "PUBCOMP";
        return this.ack("PUBREL", p.id, 2);
      case "PUBACK": case "PUBCOMP": case "SUBACK": case "UNSUBACK":
        return this.settle(p);
      case "DISCONNECT":
        return this.end(null, p);
    }
    return undefined;
  }

  connack(p) {
    clearTimeout(this.timer);
    if (p.code >= 0x80) {
      this.refusal = p;
      this.onConnack.reject(Object.assign(new Error("refused"), { packet: p }));
      this.onConnack = null;
      return;
    }
    this.limits.receive = p.props.receiveMaximum ?? 65535;
    this.limits.size = p.props.maximumPacketSize ?? this.limits.size;
    this.keepAlive = p.props.serverKeepAlive ?? this.keepAlive;
    if (this.keepAlive > 0) this.pings = setInterval(() => this.send("PINGREQ", new Writer().packet(0xC0), {}), this.keepAlive * 500);
    this.onConnack.resolve(p);
    this.onConnack = null;
  }

  publishIn(p) {
    if (p.qos === 2) {
      const again = this.received.has(p.id);
      this.received.add(p.id);
      if (!again) this.handlers.onMessage?.(p);
      this.ack("PUBREC", p.id);
      return;
    }
    this.handlers.onMessage?.(p);
    if (p.qos === 1) this.ack("PUBACK", p.id);
  }

  ack(kind, id, flags = 0) {
    this.send(kind, new Writer().u16(id).packet(type[kind] << 4 | flags), { id });
  }

  // settle ends the flow that an acknowledgement is the last of.
  settle(p) {
    const w = this.waiting.get(p.id);
    if (w?.want !== p.type) return; // of nothing that is known here
    this.waiting.delete(p.id);
    if (w.counts) this.inflight -= 1;
    w.resolve(p);
  }

  // ask sends a packet with an identifier and answers what ends its flow.
  ask(kind, want, make, counts = false) {
    const id = this.nextId();
    return new Promise((resolve, reject) => {
      this.send(kind, make(id), { id });
      this.waiting.set(id, { want, resolve, reject, counts });
      if (counts) this.inflight += 1;
    });
  }

  nextId() {
    if (this.waiting.size >= 65535) throw new Error("Every packet identifier is in use.");
    do this.last = this.last % 65535 + 1; while (this.waiting.has(this.last));
    return this.last;
  }

  // publish answers the last acknowledgement; null for QoS 0.
  async publish(m) {
    const first = type.PUBLISH << 4 | m.qos << 1 | (m.retain ? 1 : 0);
    const make = (id) => {
      const w = new Writer().text(m.topic);
      if (m.qos > 0) w.u16(id);
      return w.props(m.props).raw(m.payload).packet(first);
    };
    if (m.qos === 0) {
      this.send("PUBLISH", make(0), m);
      return null;
    }
    if (this.inflight >= this.limits.receive) throw new Error(`The server takes ${this.limits.receive} messages at a time.`);
    return this.ask("PUBLISH", m.qos === 1 ? "PUBACK" : "PUBREC", make, true);
  }

  subscribe(filter, { qos = 0, noLocal = false, asPublished = false, handling = 0, id: subscriptionId } = {}) {
    const flags = qos | (noLocal ? 4 : 0) | (asPublished ? 8 : 0) | handling << 4;
    return this.ask("SUBSCRIBE", "SUBACK", (id) => new Writer().u16(id).props({ subscriptionId: subscriptionId ? [subscriptionId] : undefined }).text(filter).byte(flags).packet(0x82));
  }

  unsubscribe(filter) {
    return this.ask("UNSUBSCRIBE", "UNSUBACK", (id) => new Writer().u16(id).props({}).text(filter).packet(0xA2));
  }

  send(kind, data, about) {
    if (data.length > this.limits.size) throw new Error(`The server takes packets of at most ${this.limits.size} bytes.`);
    if (this.ws.readyState !== WebSocket.OPEN) throw new Error("There is no connection.");
    this.ws.send(data);
    this.handlers.onPacket?.(true, { type: kind, size: data.length, ...about });
  }

  disconnect() {
    try {
      this.send("DISCONNECT", new Writer().packet(0xE0), {});
    } catch { /* it is closed already */ }
    this.end("Disconnected.");
  }

  // end is the end, whoever began it.
  end(words, packet) {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.timer);
    clearInterval(this.pings);
    this.ws.onmessage = null;
    this.ws.onclose = null;
    this.ws.close();
    const error = Object.assign(new Error(words ?? "The server disconnected."), { packet });
    this.onConnack?.reject(error);
    for (const w of this.waiting.values()) w.reject(error);
    this.waiting.clear();
    if (!this.refusal) this.handlers.onClose?.(words, packet);
  }
}

// connectPacket: { id, clean, keepAlive, user, password, sessionExpiry, will }.
export function connectPacket(o) {
  const will = o.will;
  const flags = (o.clean ? 2 : 0) | (will ? 4 | will.qos << 3 | (will.retain ? 32 : 0) : 0) | (o.password ? 64 : 0) | (o.user ? 128 : 0);
  const w = new Writer().text("MQTT").byte(5).byte(flags).u16(o.keepAlive ?? 60).props({ sessionExpiry: o.sessionExpiry || undefined }).text(o.id ?? "");
  if (will) w.props(will.props).text(will.topic).data(will.payload);
  if (o.user) w.text(o.user);
  if (o.password) w.text(o.password);
  return w.packet(0x10);
}
