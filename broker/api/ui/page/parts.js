// What views are made of.

import { h, icon, put, unique } from "./dom.js";
import { session } from "./api.js";
import { visible } from "./format.js";

// pageHead is the head of a view: its title, a line about it, and what can be done.
export function pageHead(title, about, ...actions) {
  return h("header", { class: "page-head" },
    h("div", null, h("h1", { tabIndex: -1 }, title), about ? h("p", { class: "about" }, about) : null),
    actions.length > 0 ? h("div", { class: "actions" }, actions) : null);
}

export function card(title, ...children) {
  const id = unique("card");
  return h("section", { class: "card", "aria-labelledby": id }, h("header", { class: "card-head" }, h("h2", { id }, title)), children);
}

// cardWith has something beside its title.
export function cardWith(title, extra, ...children) {
  const el = card(title, ...children);
  el.querySelector(".card-head").append(extra);
  return el;
}

// button has the kinds "", primary, danger and quiet.
export function button(label, onClick, { kind = "", ico, key, title, type = "button" } = {}) {
  return h("button", { type, class: `button ${kind}`, data: key ? { key } : undefined, title, on: onClick ? { click: onClick } : undefined }, ico ? icon(ico) : null, label);
}

// changing is a button that a token which may only read cannot use.
export function changing(el) {
  if (!session.mayWrite) {
    el.disabled = true;
    el.title = "This token may only read";
  }
  return el;
}

// name is an id, a topic or another name that somebody else chose.
export function name(text, cls = "") {
  return h("bdi", { class: `name ${cls}` }, visible(text));
}

export function link(to, query, ...children) {
  return h("a", { href: address(to, query), data: { key: address(to, query) } }, children);
}

export function address(to, query) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query ?? {})) if (v !== undefined && v !== null && v !== "" && v !== false) q.set(k, v);
  const text = q.toString();
  return `#/${to}${text ? `?${text}` : ""}`;
}

export const clientLink = (id) => link("client", { id }, name(id));

// dot is a state: good, warn, bad or off, with its word for those who do not see colours.
export function dot(state, word) {
  return h("span", { class: `dot ${state}` }, h("span", { class: "dot-word" }, word));
}

export function tag(text, kind = "") {
  return h("span", { class: `tag ${kind}` }, text);
}

// table: columns are { head, cell(row), num, low (left out on phones), cls }. The rows of
// one that stacks are blocks on phones.
export function table(label, columns, rows, { rowClass, stack } = {}) {
  const cls = (c) => `${c.num ? "num" : ""} ${c.low ? "low" : ""} ${c.cls ?? ""}`.trim() || undefined;
  return h("div", { class: "table-box", role: "region", "aria-label": label, tabIndex: 0, data: { key: `table ${label}` } },
    h("table", stack ? { class: "stacks", role: "table" } : null,
      h("thead", null, h("tr", { role: "row" }, columns.map((c) => h("th", { scope: "col", role: "columnheader", class: cls(c), title: c.title }, c.head)))),
      h("tbody", null, rows.map((r) => h("tr", { role: "row", class: rowClass?.(r) }, columns.map((c) => h("td", { role: "cell", class: cls(c), data: { head: c.head } }, c.cell(r))))))));
}

// facts is a list of names and values; what is null is left out.
export function facts(list) {
  return h("dl", { class: "facts" }, list.filter((f) => f && f[1] !== null && f[1] !== undefined)
    .map(([term, value]) => h("div", null, h("dt", null, term), h("dd", null, value))));
}

// empty says that there is nothing, and what would be.
export function empty(words, hint) {
  return h("div", { class: "empty" }, h("p", null, words), hint ? h("p", { class: "hint" }, hint) : null);
}

export function loading() {
  return h("div", { class: "loading", role: "status" }, h("span", { class: "bar" }), h("span", { class: "dot-word" }, "Loading"));
}

// failure shows what went wrong, and offers to try again.
export function failure(e, again) {
  return h("div", { class: "notice bad", role: "alert" },
    h("p", null, h("strong", null, e.title && e.title !== e.message ? `${e.title}. ` : ""), e.message),
    again ? button("Try again", again, { ico: "refresh" }) : null);
}

// missing says which nodes are not in a list.
export function missing(nodes) {
  if (!nodes || nodes.length === 0) return null;
  return h("div", { class: "notice warn", role: "status" }, h("p", null, "Not asked, so not in this list: ", nodes.map((n, i) => [i ? ", " : "", name(n)])));
}

// field is a labelled control.
export function field(label, control, hint) {
  control.id ||= unique("field");
  const about = hint ? h("span", { class: "hint", id: unique("hint") }, hint) : null;
  if (about) control.setAttribute("aria-describedby", about.id);
  return h("div", { class: "field" }, h("label", { for: control.id }, label), control, about);
}

export function check(label, props) {
  return h("label", { class: "check" }, h("input", { type: "checkbox", ...props }), h("span", null, label));
}

export function input(props) {
  return h("input", { type: "text", autocomplete: "off", spellcheck: "false", autocapitalize: "off", ...props });
}

export function select(options, value, props) {
  return h("select", props, options.map(([v, label]) => h("option", { value: v, selected: String(v) === String(value) }, label)));
}

// choice is a row of buttons of which one is on.
export function choice(label, options, value, onChange) {
  const box = h("div", { class: "choice", role: "group", "aria-label": label });
  const show = (now) => {
    for (const b of box.children) b.setAttribute("aria-pressed", String(b.dataset.value === String(now)));
  };
  for (const [v, text] of options) {
    box.append(h("button", { type: "button", data: { value: v, key: `${label}-${v}` }, on: { click: () => { show(v); onChange(v); } } }, text));
  }
  show(value);
  return box;
}

let toasts = null;

// toast says what has happened, for a while.
export function toast(words, kind = "good") {
  if (!toasts) {
    toasts = h("div", { class: "toasts", role: "status", "aria-live": "polite" });
    document.body.append(toasts);
  }
  const el = h("div", { class: `toast ${kind}` }, h("p", null, words),
    h("button", { type: "button", class: "button quiet", "aria-label": "Close the note", on: { click: () => el.remove() } }, icon("close")));
  toasts.append(el);
  while (toasts.childElementCount > 4) toasts.firstElementChild.remove();
  setTimeout(() => el.remove(), kind === "bad" ? 12000 : 6000);
}

// dialog shows a form above the page and answers when it is closed: true when act was done.
// act may throw: what it says is shown and the dialog stays.
export function dialog({ title, body, verb, kind = "primary", act }) {
  return new Promise((resolve) => {
    const id = unique("dialog");
    const problem = h("div", { role: "alert" });
    const go = button(verb, null, { kind, type: "submit" });
    const el = h("dialog", { class: "dialog", "aria-labelledby": id });
    let done = false;
    const form = h("form", { on: { submit: async (e) => {
      e.preventDefault();
      go.disabled = true;
      put(problem);
      try {
        await act();
        done = true;
        el.close();
      } catch (err) {
        put(problem, failure(err));
      }
      go.disabled = false;
    } } }, h("h2", { id }, title), body, problem,
    h("div", { class: "dialog-foot" }, button("Cancel", () => el.close(), { kind: "quiet" }), go));
    el.append(form);
    el.addEventListener("close", () => {
      el.remove();
      resolve(done);
    });
    document.body.append(el);
    el.showModal();
  });
}

// confirm asks before something is done that cannot be taken back easily.
export function confirm(title, words, verb, act, kind = "danger") {
  return dialog({ title, verb, kind, act, body: h("div", { class: "dialog-words" }, [].concat(words).map((w) => (w instanceof Node ? w : h("p", null, w)))) });
}

// selects reports whether somebody is selecting text in an element: it must stay then.
function selects(el) {
  const s = document.getSelection();
  return s !== null && !s.isCollapsed && el.contains(s.anchorNode);
}

// keepScroll keeps the places of the tables in an element that is drawn anew.
function keepScroll(el, draw) {
  const at = new Map([...el.querySelectorAll(".table-box")].map((box) => [box.dataset.key, box.scrollLeft]));
  draw();
  for (const box of el.querySelectorAll(".table-box")) box.scrollLeft = at.get(box.dataset.key) ?? 0;
}

// loader is a place that is loaded, and loaded again: it shows that it loads only the first
// time, keeps the focus, and says what went wrong without losing what is there.
export function loader(ctx, load, show) {
  const body = h("div", { class: "loaded" }, loading());
  const note = h("div");
  const el = h("div", { "aria-busy": "true" }, note, body);
  let turn = 0;
  let shown = false;
  async function run() {
    turn += 1;
    const mine = turn;
    try {
      const v = await load();
      if (mine !== turn || ctx.signal.aborted) return;
      put(note);
      if (!selects(body)) keepScroll(body, () => put(body, show(v)));
      shown = true;
    } catch (e) {
      if (mine !== turn || ctx.signal.aborted || e.name === "AbortError") return;
      put(note, failure(e, run));
      if (!shown) put(body);
    }
    el.setAttribute("aria-busy", "false");
  }
  return { el, run };
}
