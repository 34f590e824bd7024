// Elements. Text only ever becomes a text node.

const SVG = "http://www.w3.org/2000/svg";
const asProperty = new Set(["value", "checked", "disabled", "hidden", "selected", "open", "tabIndex", "indeterminate"]);

// h makes an element. Properties: class, on (an object of listeners), data (an object of
// data attributes), those of asProperty, attributes. Children: nodes, text, lists; null and
// false are left out.
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

// s makes an SVG element.
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(el, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null) continue;
    if (name === "class") el.setAttribute("class", value);
    else if (name === "on") for (const [type, f] of Object.entries(value)) el.addEventListener(type, f);
    else if (name === "data") Object.assign(el.dataset, value);
    else if (asProperty.has(name)) el[name] = value;
    else if (value === true) el.setAttribute(name, "");
    else if (value !== false) el.setAttribute(name, value);
  }
  append(el, children);
  return el;
}

function append(el, children) {
  for (const c of children) {
    if (Array.isArray(c)) append(el, c);
    else if (c instanceof Node) el.append(c);
    else if (c !== undefined && c !== null && c !== false) el.append(document.createTextNode(String(c)));
  }
}

// put replaces what is in an element. An element with the same data-key keeps the focus,
// so that a refresh does not throw out who works by keyboard.
export function put(el, ...children) {
  const active = document.activeElement;
  const key = el.contains(active) ? active.dataset?.key : undefined;
  const box = document.createDocumentFragment();
  append(box, children);
  el.replaceChildren(box);
  if (key !== undefined) {
    for (const k of el.querySelectorAll("[data-key]")) {
      if (k.dataset.key === key) {
        k.focus({ preventScroll: true });
        break;
      }
    }
  }
  return el;
}

let last = 0;

// unique is an id that no other element has.
export function unique(word) {
  last += 1;
  return `${word}-${last}`;
}

const paths = {
  overview: "M2 13h12M3 11l3-4 3 2 4-6",
  clients: "M5.5 8a2.2 2.2 0 1 0 0-4.4 2.2 2.2 0 0 0 0 4.4zM1.8 13c0-2.2 1.6-3.6 3.7-3.6S9.200 10.800 9.200 13M10.500 8a1.900 1.900 0 1 0 0-3.800M11.200 9.500c1.800.2 3 1.500 3 3.500",
  slow: "M8 4.500V8l2.200 1.500M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12z",
  refusals: "M8 2l5 2v4c0 3-2.200 5-5 6-2.800-1-5-3-5-6V4zM6.200 6.200l3.600 3.600M9.800 6.200L6.200 9.800",
  topics: "M3 3h4M3 3v9.500h4M3 7.500h4M9 3h4M9 7.500h4M9 12.500h4",
  trace: "M1.500 8h3L6.500 3l3 10 2-5h3",
  console: "M2.500 3h11v10h-11zM5 6.500l2 1.700-2 1.700M8.500 10.200h2.500",
  bans: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM3.900 3.900l8.200 8.200",
  operate: "M3 4.500h10M3 8h10M3 11.500h10M6 3v3M10.500 6.500v3M5 10v3",
  menu: "M2.500 4.500h11M2.500 8h11M2.500 11.500h11",
  sun: "M8 10.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5zM8 1.500v1.500M8 13v1.500M1.500 8H3M13 8h1.500M3.400 3.400l1 1M11.600 11.600l1 1M3.400 12.600l1-1M11.600 4.400l1-1",
  moon: "M13 9.500A5.500 5.500 0 0 1 6.500 3 5.500 5.500 0 1 0 13 9.500z",
  auto: "M8 14A6 6 0 1 0 8 2a6 6 0 0 0 0 12zM8 2v12M8 5h3.800M8 8h5.500M8 11h4",
  out: "M6.500 2.500h-4v11h4M10 5l3 3-3 3M13 8H6",
  refresh: "M13 8a5 5 0 1 1-1.500-3.500M13 2v3h-3",
  chevron: "M6 4l4 4-4 4",
  close: "M4 4l8 8M12 4l-8 8",
};

// icon is a small drawing beside a word, or instead of one that a label says.
export function icon(name, cls) {
  return s("svg", { class: `icon ${cls ?? ""}`, viewBox: "0 0 16 16", width: 16, height: 16, "aria-hidden": "true", focusable: "false" },
    s("path", { d: paths[name] }));
}
