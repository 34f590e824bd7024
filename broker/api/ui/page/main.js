// The frame: who is asking, which view is shown, and what is around it.

import { h, icon, put } from "./dom.js";
import { session, signIn, signOut, onSignOut, Problem } from "./api.js";
import { onFeed, resume, startFeed } from "./feed.js";
import { button, dot, failure, input, loading, tag, name } from "./parts.js";
import overview from "./view-overview.js";
import clients from "./view-clients.js";
import client from "./view-client.js";
import slow from "./view-slow.js";
import refusals from "./view-refusals.js";
import topics from "./view-topics.js";
import trace from "./view-trace.js";
import tester from "./view-console.js";
import bans from "./view-bans.js";
import operate from "./view-operate.js";

const views = { overview, clients, client, slow, refusals, topics, trace, console: tester, bans, operate };
const groups = [
  ["Watch", [["overview", "Overview"], ["clients", "Clients"], ["slow", "Slow subscribers"], ["refusals", "Refusals"]]],
  ["Messages", [["topics", "Topics"], ["trace", "Trace"], ["console", "Test client"]]],
  ["Control", [["bans", "Bans"], ["operate", "Operate"]]],
];
const inside = { client: "clients" }; // views that are part of another one's

const app = document.getElementById("app");
let frame = null; // { main, nav, state }
let leaving = null; // ends what the view that is shown has begun
let shown = ""; // its address

// route is the view and its parameters that the address asks for.
function route() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const key = Object.hasOwn(views, path) ? path : "overview";
  return { key, params: new URLSearchParams(query ?? "") };
}

// go changes the address; replace leaves no way back to the one before.
function go(address, { replace = false } = {}) {
  if (!replace) {
    location.hash = address;
    return;
  }
  history.replaceState(null, "", address);
}

function show() {
  if (!session.token || !frame) return;
  const { key, params } = route();
  leaving?.abort();
  leaving = new AbortController();
  const { signal } = leaving;
  const moved = shown !== "" && shown !== key + (params.get("id") ?? "");
  shown = key + (params.get("id") ?? "");
  const view = views[key];
  document.title = `${view.title} · ${session.node} · Skein`;
  for (const a of frame.nav.querySelectorAll("a")) {
    if (a.dataset.view === (inside[key] ?? key)) a.setAttribute("aria-current", "page");
    else a.removeAttribute("aria-current");
  }
  frame.close();
  try {
    put(frame.main, view.render({ params, signal, go, every: (ms, f) => every(ms, f, signal), again: show }));
  } catch (e) {
    put(frame.main, failure(e, show));
    throw e;
  }
  if (moved) {
    window.scrollTo(0, 0);
    frame.main.querySelector("h1")?.focus({ preventScroll: true });
  }
}

// every calls f at intervals while the view and the page are shown.
function every(ms, f, signal) {
  const timer = setInterval(() => {
    if (!document.hidden) f();
  }, ms);
  signal.addEventListener("abort", () => clearInterval(timer));
}

// theme goes round: as the system has it, light, dark.
function themeSwitch() {
  const order = ["auto", "light", "dark"];
  const icons = { auto: "auto", light: "sun", dark: "moon" };
  const words = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
  const b = h("button", { type: "button", class: "button quiet square", id: "theme" });
  const now = () => document.documentElement.dataset.theme ?? "auto";
  const draw = () => {
    b.setAttribute("aria-label", words[now()]);
    b.title = words[now()];
    put(b, icon(icons[now()]));
  };
  b.addEventListener("click", () => {
    const next = order[(order.indexOf(now()) + 1) % order.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem("skein.theme", next);
    } catch { /* it lasts until the page is loaded again */ }
    draw();
  });
  draw();
  return b;
}

function skipLink() {
  return h("a", { class: "skip", href: "#main", on: { click: (e) => {
    e.preventDefault(); // the address is the router's
    frame.main.focus();
  } } }, "Skip to the content");
}

function buildFrame() {
  const nav = h("nav", { id: "nav", class: "nav", "aria-label": "Main" }, groups.map(([group, list]) => h("div", { class: "nav-group" },
    h("p", { class: "nav-title" }, group),
    h("ul", null, list.map(([key, label]) => h("li", null, h("a", { href: `#/${key}`, data: { view: key } }, icon(key), h("span", null, label))))))));
  const menu = h("button", { type: "button", class: "button quiet square menu", "aria-expanded": "false", "aria-controls": "nav", "aria-label": "Menu" }, icon("menu"));
  const setMenu = (open) => {
    menu.setAttribute("aria-expanded", String(open));
    nav.classList.toggle("open", open);
  };
  menu.addEventListener("click", () => setMenu(menu.getAttribute("aria-expanded") !== "true"));
  nav.addEventListener("keydown", (e) => {
    if (e.key === "Escape" && nav.classList.contains("open")) {
      setMenu(false);
      menu.focus();
    }
  });
  const state = h("div", { class: "node-state", role: "status" });
  const main = h("main", { id: "main", class: "main", tabIndex: -1 }, loading());
  const who = h("span", { class: "who", title: `Token ${session.name}, scope ${session.scope}` }, name(session.name, "plain"), session.mayWrite ? null : tag("read only"));
  frame = { nav, main, state, close: () => setMenu(false) };
  put(app, skipLink(), h("div", { class: "frame" },
    h("header", { class: "top" }, menu,
      h("a", { class: "brand", href: "#/overview" }, h("img", { src: "/ui/mark.svg", alt: "", width: 24, height: 24 }), h("span", null, "Skein")),
      state, h("div", { class: "top-end" }, who, themeSwitch(),
        h("button", { type: "button", class: "button quiet square", id: "sign-out", "aria-label": "Sign out", title: "Sign out", on: { click: () => signOut() } }, icon("out")))),
    nav, main));
  onFeed(drawState, new AbortController().signal);
  show();
}

// drawState is the word on the node in the top bar. It is written only when it changes: it
// is read out then.
function drawState({ nodes, error }) {
  if (!frame) return;
  const self = nodes.find((n) => n.self);
  const sick = nodes.filter((n) => !n.self && (n.error || !n.ready)).length;
  const [mark, words] = error ? ["bad", error.message] : !self ? ["off", "…"] : self.draining ? ["warn", "draining"]
    : self.ready ? [sick > 0 ? "warn" : "good", "ready"] : ["bad", `not ready: ${self.reason ?? ""}`];
  const more = nodes.length > 1 ? ` · ${nodes.length} nodes${sick ? `, ${sick} not ready` : ""}` : "";
  const text = `${session.node}${mark}${words}${more}`;
  if (frame.state.dataset.text === text) return;
  frame.state.dataset.text = text;
  put(frame.state, name(session.node), dot(mark, ""), h("span", { class: "node-words" }, words + more));
}

// askToken is what is shown while nobody has said who is asking.
function askToken(why = "") {
  leaving?.abort();
  frame = null;
  shown = "";
  document.title = "Sign in · Skein";
  for (const d of document.querySelectorAll("dialog")) d.remove();
  const problem = h("div", { role: "alert" }, why ? h("p", { class: "notice warn" }, why) : null);
  const box = input({ id: "token", type: "password", name: "token", required: true, autocomplete: "off", "aria-describedby": "token-hint" });
  const go = button("Sign in", null, { kind: "primary wide", type: "submit" });
  const form = h("form", { class: "sign-in card", on: { submit: async (e) => {
    e.preventDefault();
    put(problem);
    go.disabled = true;
    try {
      await signIn(box.value.trim());
      start();
      return;
    } catch (err) {
      put(problem, h("p", { class: "notice bad" }, err instanceof Problem && err.status === 401 ? "No such token." : err.message));
      box.select();
    }
    go.disabled = false;
  } } },
  h("div", { class: "brand" }, h("img", { src: "/ui/mark.svg", alt: "", width: 36, height: 36 }), h("h1", null, "Skein")),
  h("div", { class: "field" }, h("label", { for: "token" }, "API token"), box,
    h("span", { class: "hint", id: "token-hint" }, "One of http.tokens in the node's configuration. It stays in this tab and is forgotten with it.")),
  problem, go);
  put(app, h("main", { class: "door" }, form, h("div", { class: "door-foot" }, themeSwitch())));
  box.focus();
}

function start() {
  buildFrame();
  resume();
}

async function begin() {
  if (!session.token) {
    askToken();
    return;
  }
  put(app, h("main", { class: "door" }, loading()));
  try {
    await signIn(session.token);
    start();
  } catch (e) {
    if (e.status === 401) signOut("The token is not taken any more.");
    else put(app, h("main", { class: "door" }, failure(e, begin)));
  }
}

onSignOut(askToken);
startFeed();
window.addEventListener("hashchange", show);
begin();
