// A tree whose levels are loaded when they are opened, with the keys of the pattern that
// screen readers know: arrows, Home, End, Enter.

import { h, icon, put } from "./dom.js";

// tree: load(topic, after) answers { items: [{ key, label, leaf, mark }], next }; onPick
// gets an item. It answers { el, reload(topic) }, which loads it
// and opens it as far as a topic.
export function tree(label, load, onPick, onError) {
  const root = h("ul", { class: "tree", role: "tree", "aria-label": label });
  const t = { root, load, onPick, onError };
  root.addEventListener("keydown", (e) => onKey(t, e));
  const reload = (topic) => fetchInto(t, root, "", "").then((ok) => ok && topic && reveal(t, topic));
  return { el: root, reload };
}

// reveal opens the levels above a topic, as far as they are on the first pages.
async function reveal(t, topic) {
  let list = t.root;
  for (;;) {
    const el = [...list.children].find((c) => c.item && (c.item.key === topic || topic.startsWith(`${c.item.key}/`)));
    if (!el) return;
    if (el.item.key === topic) {
      select(t, el);
      rove(t, el);
      return;
    }
    await toggle(t, el, true);
    list = el.querySelector(":scope > ul");
    if (!list) return;
  }
}

async function fetchInto(t, list, key, after) {
  let page;
  try {
    page = await t.load(key, after);
  } catch (e) {
    if (e.name !== "AbortError") t.onError(e);
    return false;
  }
  if (!after) put(list);
  list.querySelector(":scope > .tree-more")?.remove();
  const known = new Set([...list.children].map((el) => el.dataset.topic));
  for (const item of page.items) if (!known.has(item.key)) list.append(itemOf(t, item));
  if (page.next) {
    const more = h("li", { class: "tree-more", role: "treeitem", tabIndex: -1 }, h("span", { class: "tree-row" }, "Show more…"));
    more.addEventListener("click", (e) => {
      e.stopPropagation();
      fetchInto(t, list, key, page.next);
    });
    list.append(more);
  }
  if (list === t.root && list.children.length === 0) list.append(h("li", { class: "empty", role: "none" }, "No retained messages."));
  if (list === t.root && !t.root.querySelector('[tabindex="0"]')) rove(t, t.root.querySelector('[role="treeitem"]'));
  return true;
}

function itemOf(t, item) {
  const row = h("span", { class: "tree-row" }, item.leaf ? h("span", { class: "tree-space" }) : icon("chevron", "twist"), item.label, item.mark ? h("span", { class: "tree-mark", title: "It has a retained message" }, h("span", { class: "dot-word" }, "retained")) : null);
  const el = h("li", { role: "treeitem", tabIndex: -1, data: { topic: item.key }, "aria-expanded": item.leaf ? undefined : "false", "aria-selected": "false" }, row);
  el.item = item;
  row.addEventListener("click", (e) => {
    e.stopPropagation();
    rove(t, el, true);
    pick(t, el);
    if (e.target.closest(".twist") || !item.mark) toggle(t, el);
  });
  return el;
}

async function toggle(t, el, want) {
  const open = el.getAttribute("aria-expanded");
  if (open === null) return;
  const next = want ?? open !== "true";
  if (!next) {
    el.setAttribute("aria-expanded", "false");
    el.querySelector(":scope > ul")?.remove();
    return;
  }
  if (open === "true") return;
  el.setAttribute("aria-expanded", "true");
  const list = h("ul", { role: "group" }, h("li", { class: "tree-wait", role: "none" }, "…"));
  el.append(list);
  if (!await fetchInto(t, list, el.item.key, "")) toggle(t, el, false);
}

function pick(t, el) {
  select(t, el);
  t.onPick(el.item);
}

function select(t, el) {
  for (const old of t.root.querySelectorAll('[aria-selected="true"]')) old.setAttribute("aria-selected", "false");
  el.setAttribute("aria-selected", "true");
}

// rove makes el the one that Tab goes to.
function rove(t, el, focus = false) {
  if (!el) return;
  for (const old of t.root.querySelectorAll('[tabindex="0"]')) old.tabIndex = -1;
  el.tabIndex = 0;
  if (focus) el.focus();
}

function onKey(t, e) {
  const at = e.target.closest('[role="treeitem"]');
  if (!at || e.ctrlKey || e.metaKey || e.altKey) return;
  const all = [...t.root.querySelectorAll('[role="treeitem"]')];
  const i = all.indexOf(at);
  const open = at.getAttribute("aria-expanded");
  const moves = {
    ArrowDown: () => all[i + 1], ArrowUp: () => all[i - 1], Home: () => all[0], End: () => all.at(-1),
    ArrowRight: () => (open === "false" ? toggle(t, at, true) && null : open === "true" ? at.querySelector('[role="treeitem"]') : null),
    ArrowLeft: () => (open === "true" ? toggle(t, at, false) && null : at.parentElement.closest('[role="treeitem"]')),
    Enter: () => act(t, at), " ": () => act(t, at),
  };
  if (!Object.hasOwn(moves, e.key)) return;
  e.preventDefault();
  const to = moves[e.key]();
  if (to) rove(t, to, true);
}

function act(t, el) {
  if (!el.item) {
    el.click();
    return null;
  }
  pick(t, el);
  if (!el.item.mark) toggle(t, el);
  return null;
}
