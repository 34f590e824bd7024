// Who is kept out.

import { h } from "./dom.js";
import { call, get } from "./api.js";
import { button, changing, confirm, dialog, empty, field, input, loader, name, pageHead, select, table, tag, toast } from "./parts.js";
import { ago, moment, plural } from "./format.js";

const kinds = [["client", "Client id"], ["user", "User name"], ["address", "Address or network"]];

function render(ctx) {
  const list = loader(ctx, () => get("/api/v1/bans", null, ctx.signal), (page) => show(page.bans, list.run));
  list.run();
  ctx.every(15000, list.run);
  return h("div", { class: "view" },
    pageHead("Bans", "Client ids, user names and addresses that are kept out.", changing(button("Add a ban", async () => {
      if (await addBan()) list.run();
    }, { kind: "primary" }))), list.el);
}

function show(bans, again) {
  if (bans.length === 0) return empty("Nobody is banned.", "A ban disconnects whom it is about, and refuses them from then on.");
  return h("div", { class: "card flush" }, table("Bans", [
    { head: "Kind", cls: "tight", cell: (b) => tag(b.kind) },
    { head: "Whom", cls: "wide", cell: (b) => name(b.value) },
    { head: "Until", cell: (b) => (b.until ? h("time", { datetime: b.until, title: moment(b.until) }, ago(b.until)) : "it is lifted") },
    { head: "Reason", low: true, cell: (b) => (b.reason ? name(b.reason, "plain") : "–") },
    { head: "", num: true, cell: (b) => (b.file ? h("span", { class: "muted", title: "It is in the bans file: lifted there" }, "in the file") : changing(button("Lift", () => lift(b, again), { key: `lift-${b.kind}-${b.value}` }))) },
  ], bans));
}

async function lift(b, again) {
  const done = await confirm("Lift the ban?", [h("p", null, "The ", b.kind, " ", name(b.value), " may come in again.")], "Lift", () => call("DELETE", "/api/v1/bans", { query: { kind: b.kind, value: b.value } }), "primary");
  if (done) {
    toast("The ban is lifted.");
    again();
  }
}

// addBan asks whom; a kind and value may be there already.
export async function addBan({ kind = "client", value = "" } = {}) {
  const f = {
    kind: select(kinds, kind), value: input({ value, required: true }), until: h("input", { type: "datetime-local", step: 1 }), reason: input({ maxlength: 200 }),
  };
  let out = null;
  const done = await dialog({ title: "Add a ban", verb: "Ban", kind: "danger", body: h("div", { class: "fields" },
    field("Kind", f.kind), field("Whom", f.value, "An address as 192.0.2.7, a network as 192.0.2.0/24"),
    field("Until", f.until, "Empty: until it is lifted"), field("Reason", f.reason)),
  act: async () => {
    const body = { kind: f.kind.value, value: f.value.value };
    if (f.until.value) body.until = new Date(f.until.value).toISOString();
    if (f.reason.value) body.reason = f.reason.value;
    out = await call("POST", "/api/v1/bans", { body });
  } });
  if (done) toast(`Banned; ${plural(out.disconnected, "client")} disconnected.`);
  return done;
}

export default { title: "Bans", render };
