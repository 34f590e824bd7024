// Figures over time as lines or stacked areas, drawn by hand.

import { h, s, put } from "./dom.js";
import { clock } from "./format.js";

const height = 148;
const pad = { top: 8, right: 10, bottom: 20, left: 58 };
const gap = 3.5; // intervals without a sample that break a line

// chart answers { el, update(lines, now) }. A line is { name, points: [{ at, v }], tone, title }.
// Options: title, unit (of the accessible text), format, span() in milliseconds,
// interval, stacked, empty (a text for when there is nothing).
export function chart(options) {
  const legend = h("ul", { class: "legend" });
  const svg = s("svg", { class: "plot", role: "img", height });
  const note = h("p", { class: "plot-note", hidden: true });
  const box = h("div", { class: "plot-box" }, svg, note);
  const el = h("section", { class: "card chart", "aria-label": options.title },
    h("header", { class: "chart-head" }, h("h2", null, options.title), legend), box);
  const c = { options, svg, legend, note, box, lines: [], now: Date.now(), pointer: null };
  new ResizeObserver(() => draw(c)).observe(box);
  svg.addEventListener("pointermove", (e) => {
    c.pointer = e.clientX - svg.getBoundingClientRect().left;
    draw(c);
  });
  for (const type of ["pointerleave", "pointercancel"]) {
    svg.addEventListener(type, () => {
      c.pointer = null;
      draw(c);
    });
  }
  return {
    el,
    update(lines, now) {
      c.lines = lines;
      c.now = now;
      draw(c);
    },
  };
}

function draw(c) {
  const width = c.box.clientWidth;
  if (width < 40) return;
  const from = c.now - c.options.span();
  const lines = c.lines.map((l) => ({ ...l, points: l.points.filter((p) => p.at >= from - 2 * c.options.interval) }));
  const layers = c.options.stacked ? stack(lines) : lines.map((l) => ({ ...l, base: null, top: l.points }));
  const high = ceiling(Math.max(0, ...layers.flatMap((l) => l.top.map((p) => p.v ?? 0))), c.options.base ?? 1000);
  const x = (at) => pad.left + (width - pad.left - pad.right) * (at - from) / c.options.span();
  const y = (v) => height - pad.bottom - (height - pad.top - pad.bottom) * v / high;
  const picked = c.pointer === null ? null : nearest(lines, from + (c.pointer - pad.left) / (width - pad.left - pad.right) * c.options.span());
  c.svg.setAttribute("width", width);
  c.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  put(c.svg, grid(c, width, high, y), axis(c, width, from, x), layers.map((l) => shapes(c, l, x, y)).reverse(), cross(layers, picked, x, y));
  const known = lines.some((l) => l.points.some((p) => p.v !== null));
  c.note.hidden = known && lines.length > 0;
  c.note.textContent = known || c.options.ready?.() ? c.options.empty ?? "" : "Collecting figures…";
  describe(c, lines, picked);
}

// stack puts the lines on top of each other. They have the same times.
function stack(lines) {
  let under = null;
  return lines.map((l) => {
    const base = under;
    const top = l.points.map((p, i) => ({ at: p.at, v: p.v === null ? null : p.v + (base?.[i]?.v ?? 0) }));
    under = top;
    return { ...l, base: base ?? top.map((p) => ({ at: p.at, v: 0 })), top };
  });
}

// ceiling is the next round number of its unit (thousands, or KiB and so on): the top of
// the axis, whose half is round too.
function ceiling(v, base) {
  if (v <= 4) return 4;
  const scale = base ** Math.max(0, Math.floor(Math.log(v) / Math.log(base)));
  const n = v / scale / 4;
  const unit = 10 ** Math.floor(Math.log10(n));
  for (const step of [1, 2, 2.5, 5, 10]) if (n <= step * unit) return step * unit * 4 * scale;
  return 40 * unit * scale;
}

function grid(c, width, high, y) {
  return [0, 0.25, 0.5, 0.75, 1].map((part) => {
    const at = Math.round(y(high * part)) + 0.5;
    return [
      s("line", { class: part === 0 ? "base" : "rule", x1: pad.left, x2: width - pad.right, y1: at, y2: at }),
      part === 0.25 || part === 0.75 ? null : s("text", { class: "tick", x: pad.left - 7, y: at + 3.5, "text-anchor": "end" }, (c.options.axis ?? c.options.format)(high * part)),
    ];
  });
}

function axis(c, width, from, x) {
  const minutes = c.options.span() / 60000;
  const step = (minutes <= 1 ? 0.25 : minutes <= 2 ? 0.5 : minutes <= 5 ? 1 : 5) * (width < 420 && minutes < 15 ? 2 : 1);
  const out = [];
  for (let m = 0; m <= minutes; m += step) {
    if (m !== minutes && minutes - m < step / 2) continue;
    const anchor = m === 0 ? "end" : m === minutes ? "start" : "middle";
    const words = m === 0 ? "now" : m % 1 !== 0 ? `−${m * 60} s` : `−${m} min`;
    out.push(s("text", { class: "tick", x: x(c.now - m * 60000), y: height - 5, "text-anchor": anchor }, words));
  }
  return out;
}

// pieces are the points between gaps.
function pieces(points, base, interval) {
  const list = [];
  let piece = null;
  points.forEach((p, i) => {
    const far = piece && p.at - piece.at(-1).at > gap * interval;
    if (p.v === null || far) piece = null;
    if (p.v === null) return;
    if (!piece) list.push(piece = []);
    piece.push({ at: p.at, v: p.v, base: base?.[i]?.v ?? 0 });
  });
  return list;
}

function shapes(c, layer, x, y) {
  return pieces(layer.top, layer.base, c.options.interval).map((piece) => {
    const top = piece.map((p) => `${x(p.at).toFixed(1)},${y(p.v).toFixed(1)}`);
    const bottom = piece.map((p) => `${x(p.at).toFixed(1)},${y(p.base).toFixed(1)}`).reverse();
    return s("g", { class: `tone-${layer.tone}` },
      s("path", { class: c.options.stacked ? "area solid" : "area", d: `M${top.join("L")}L${bottom.join("L")}Z` }),
      s("path", { class: "line", d: piece.length > 1 ? `M${top.join("L")}` : `M${top[0]}h.1` }));
  });
}

function nearest(lines, at) {
  const points = lines[0]?.points ?? [];
  let best = null;
  points.forEach((p, i) => {
    if (p.v !== null && (best === null || Math.abs(p.at - at) < Math.abs(points[best].at - at))) best = i;
  });
  return best;
}

function cross(layers, picked, x, y) {
  const at = picked === null ? null : layers[0]?.top[picked]?.at;
  if (at === null || at === undefined) return null;
  return s("g", { class: "cross" }, s("line", { x1: x(at), x2: x(at), y1: pad.top, y2: height - pad.bottom }),
    layers.map((l) => {
      const v = l.top[picked]?.v;
      return v === null || v === undefined ? null : s("circle", { class: `tone-${l.tone}`, cx: x(at), cy: y(v), r: 3 });
    }));
}

// describe writes the values beside the names: those under the pointer, or the latest.
function describe(c, lines, picked) {
  const f = c.options.format;
  const at = picked === null ? null : lines[0].points[picked]?.at;
  const parts = lines.map((l) => {
    const v = (picked === null ? l.points.findLast((p) => p.v !== null) : l.points[picked])?.v;
    return { ...l, text: v === null || v === undefined ? "–" : f(v) };
  });
  put(c.legend, at ? h("li", { class: "legend-time" }, clock(at, false)) : null, parts.map((p) =>
    h("li", { title: p.title }, h("span", { class: `swatch tone-${p.tone}`, "aria-hidden": "true" }), p.name, " ", h("b", null, p.text))));
  c.svg.setAttribute("aria-label", `${c.options.title}: ${parts.map((p) => `${p.name} ${p.text}`).join(", ") || "nothing"}`);
}
