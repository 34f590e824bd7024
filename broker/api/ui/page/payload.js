// Payloads: bytes that somebody else chose, shown as text, JSON or hexadecimal digits.

import { h, put } from "./dom.js";
import { bytes as size } from "./format.js";
import { choice } from "./parts.js";

const shownHex = 4096; // bytes; more of it helps nobody
const shownText = 262144; // characters: a browser lays out more only slowly
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// fromBase64 and toBase64 are those of the API: standard, with padding.
export function fromBase64(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

export function toBase64(data) {
  let out = "";
  for (let i = 0; i < data.length; i += 0x8000) out += String.fromCharCode(...data.subarray(i, i + 0x8000));
  return btoa(out);
}

// bytesOf is the payload of a message of the API.
export function bytesOf(m) {
  if (m.payload_base64 !== undefined) return fromBase64(m.payload_base64);
  return new TextEncoder().encode(m.payload ?? "");
}

// textOf is bytes as text; null when they are none.
export function textOf(data) {
  try {
    return decoder.decode(data);
  } catch {
    return null;
  }
}

// parseHex reads hexadecimal digits with spaces between them; null when they are none.
export function parseHex(text) {
  const digits = text.replace(/\s+/g, "");
  if (digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits)) return null;
  return Uint8Array.from(digits.match(/../g) ?? [], (d) => parseInt(d, 16));
}

// json lays out JSON; null when text is none. Numbers and strings stay as they are
// written: parsing and printing would round large numbers and drop names that stand twice.
export function json(text) {
  try {
    const v = JSON.parse(text);
    if (v === null || typeof v !== "object") return null;
  } catch {
    return null;
  }
  const tokens = text.match(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g);
  let depth = 0;
  let out = "";
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((t, i) => {
    if (t === "{" || t === "[") {
      depth += 1;
      out += t;
      if (!/^[}\]]$/.test(tokens[i + 1])) out += line();
    } else if (t === "}" || t === "]") {
      depth -= 1;
      out += /^[{[]$/.test(tokens[i - 1]) ? t : line() + t;
    } else if (t === ",") out += t + line();
    else out += t === ":" ? ": " : t;
  });
  return out;
}

function dump(data) {
  const lines = [];
  for (let i = 0; i < Math.min(data.length, shownHex); i += 16) {
    const row = data.subarray(i, i + 16);
    const digits = [...row].map((b) => b.toString(16).padStart(2, "0"));
    const left = digits.slice(0, 8).join(" ").padEnd(23);
    const right = digits.slice(8).join(" ").padEnd(23);
    const chars = [...row].map((b) => (b >= 0x20 && b < 0x7f ? String.fromCharCode(b) : ".")).join("");
    lines.push(`${i.toString(16).padStart(6, "0")}  ${left}  ${right}  ${chars}`);
  }
  if (data.length > shownHex) lines.push(`… ${size(data.length - shownHex)} more`);
  return lines.join("\n");
}

// payloadView shows bytes in the form that fits them, and the others on request.
export function payloadView(data, { truncated = false, whole = 0 } = {}) {
  const text = textOf(data);
  const nice = text === null || truncated ? null : json(text);
  const out = h("pre", { class: "payload", tabIndex: 0, "aria-label": "Payload" });
  const show = (how) => {
    let words = how === "hex" || text === null ? dump(data) : how === "json" ? nice : text.replaceAll("\u0000", "␀");
    if (words.length > shownText) words = `${words.slice(0, shownText)}\n… cut here`;
    put(out, words);
  };
  const ways = [text === null ? null : ["text", "Text"], nice === null ? null : ["json", "JSON"], ["hex", "Hex"]].filter(Boolean);
  const first = nice !== null ? "json" : text !== null ? "text" : "hex";
  show(first);
  const words = data.length === 0 ? "empty" : size(data.length);
  return h("div", { class: "payload-box" },
    h("div", { class: "payload-head" }, h("span", { class: "muted" }, "Payload, ", truncated ? `the first ${words}${whole ? ` of ${size(whole)}` : ""}` : words),
      ways.length > 1 && data.length > 0 ? choice("Payload as", ways, first, show) : null),
    data.length > 0 ? out : null);
}

// brief is a payload in one line.
export function brief(data) {
  const text = textOf(data.subarray(0, 200)) ?? textOf(data.subarray(0, 198));
  if (data.length === 0) return "(empty)";
  if (text === null) return [...data.subarray(0, 24)].map((b) => b.toString(16).padStart(2, "0")).join(" ") + (data.length > 24 ? " …" : "");
  return text.replace(/\s+/g, " ").slice(0, 160) + (data.length > 160 ? "…" : "");
}
