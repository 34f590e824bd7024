// The API of the node that served the page.

const storeKey = "skein.token";
const listeners = new Set();

// session is who uses the page. It ends with the tab.
export const session = {
  token: load(),
  name: "", // of the token
  scope: "", // read or write
  node: "",
  version: "",
  get mayWrite() {
    return this.scope === "write";
  },
};

function load() {
  try {
    return sessionStorage.getItem(storeKey) ?? "";
  } catch {
    return "";
  }
}

function keep(token) {
  session.token = token;
  try {
    if (token) sessionStorage.setItem(storeKey, token);
    else sessionStorage.removeItem(storeKey);
  } catch { /* without storage it lasts until the page is loaded again */ }
}

// onSignOut calls f when a token is needed that is not there, or not taken any more.
export function onSignOut(f) {
  listeners.add(f);
}

export function signOut(why = "") {
  keep("");
  session.scope = "";
  for (const f of listeners) f(why);
}

// signIn asks the node whose the token is; it is kept only if it is somebody's.
export async function signIn(token, signal) {
  const v = await request("GET", "/api/v1/version", { token, signal });
  Object.assign(session, { name: v.token, scope: v.scope, node: v.node, version: v.version });
  keep(token);
}

// Problem is an answer that is an error, or none at all (status 0).
export class Problem extends Error {
  constructor(status, title, detail, code) {
    super(detail || title);
    this.status = status;
    this.title = title;
    this.code = code;
  }
}

// call asks the API; path and query are encoded here. It throws a Problem, or an
// AbortError when the signal says so.
export async function call(method, path, options = {}) {
  const { token } = session;
  try {
    return await request(method, path, { token, ...options });
  } catch (e) {
    lost(e, token);
    throw e;
  }
}

// lost asks for a token when the one of an answer is not taken any more, unless there is
// another one by now.
function lost(e, token) {
  if (e instanceof Problem && e.status === 401 && token === session.token) signOut("The token is not taken any more.");
}

export const get = (path, query, signal) => call("GET", path, { query, signal });

// clientPath is the path of a client's resource: an id may have any character.
export function clientPath(id, rest = "") {
  // Browsers take . and .. out of paths, also encoded ones: these two go by the query.
  if (id === "." || id === "..") return `/api/v1/clients/-${rest}?id=${id}`;
  return `/api/v1/clients/${encodeURIComponent(id)}${rest}`;
}

function urlOf(path, query) {
  const q = new URLSearchParams();
  for (const [k, v] of Object.entries(query ?? {})) {
    if (v !== undefined && v !== null && v !== "") q.append(k, v);
  }
  const text = q.toString();
  return text ? `${path}${path.includes("?") ? "&" : "?"}${text}` : path;
}

async function send(method, path, { token, query, body, signal, accept }) {
  const headers = { Authorization: `Bearer ${token}`, Accept: accept ?? "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let res;
  try {
    res = await fetch(urlOf(path, query), {
      method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body), credentials: "omit", cache: "no-store", redirect: "error",
    });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    if (e instanceof TypeError && /header|ISO-8859-1|ByteString/i.test(e.message)) throw new Problem(401, "Unauthorized", "a token has only plain characters");
    throw new Problem(0, "No answer", "The node does not answer.");
  }
  if (!res.ok) throw await problemOf(res);
  return res;
}

async function request(method, path, options) {
  const res = await send(method, path, options);
  if (res.status === 204) return null;
  try {
    return await res.json();
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Problem(res.status, "Wrong answer", "The answer is not what this page expects.");
  }
}

async function problemOf(res) {
  let p = {};
  try {
    p = await res.json();
  } catch { /* something before the node answered */ }
  return new Problem(res.status, p.title ?? res.statusText, p.detail, p.code);
}

// events reads server-sent events until they end or the signal says so. EventSource
// cannot be used: it sends no Authorization.
export async function events(path, query, signal, onEvent, onOpen) {
  const { token } = session;
  let res;
  try {
    res = await send("GET", path, { token, query, signal, accept: "text/event-stream" });
  } catch (e) {
    lost(e, token);
    throw e;
  }
  onOpen?.();
  const reader = res.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) dispatch(block, onEvent);
  }
}

function dispatch(block, onEvent) {
  let kind = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  if (data.length > 0) onEvent(kind, JSON.parse(data.join("\n")));
}
