// The exchanges, as they come: a list with a filter, and the details of one beside it.

import { h, attr, text, num } from "./dom.js";
import { Ring } from "./ring.js";
import { Rows } from "./rows.js";
import { call, Refused } from "./api.js";
import { store } from "./store.js";
import { clockTime, kindOf } from "./exchange.js";
import { details } from "./details.js";
import { sayError } from "./toast.js";

/** How many exchanges the page keeps; older ones are in the server's own, or in a capture. */
const MOST = 50000;

const place = document.getElementById("log");
const ring = new Ring(MOST);
let stream = null;
let came = 0;
let fresh = 0;

const field = h("input", { type: "search", placeholder: "Filter: status!=OK || noise", spellcheck: "false", autocomplete: "off", autocapitalize: "off", "aria-label": "Filter of the exchanges", "aria-describedby": "filter-wrong" });
const wrong = h("p", { class: "wrong", id: "filter-wrong", role: "alert", hidden: true });
const clearFilter = h("button", { type: "button", class: "quiet", "aria-label": "No filter", hidden: true, on: { click: () => setFilter("") } }, "✕");
const count = h("span", { class: "count" });
const form = h("form", { class: "filter", on: { submit: (event) => { event.preventDefault(); setFilter(field.value); } } }, field, clearFilter);
const clear = h("button", { type: "button", "aria-label": "Clear the list", title: "Clears the list here; nothing else changes", on: { click: () => reset() } }, "Clear");
const latest = h("button", { type: "button", class: "primary latest", hidden: true, on: { click: () => rows.follow(true) } });
const nothing = h("div", { class: "empty" });
const pane = details(() => close());

const rows = new Rows({ items: ring, make, fill, pick: open, label: "Exchanges" });
rows.onFollow = (on) => {
  if (on) fresh = 0;
  drawLatest();
};

place.append(h("div", { class: "log-bar" }, h("h2", {}, "Exchanges"), form, count, clear), wrong, rows.root, nothing, latest);
field.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && field.value !== stream?.filter) field.value = stream?.filter ?? "";
});

/** Where the exchanges come from. */
export function connect(to) {
  stream = to;
}

/** How many came since the list was cleared; it may hold fewer. */
export const received = () => came;
export const focusFilter = () => field.focus();
export const focusRows = () => rows.root.focus();
export const toggleFollow = () => rows.follow(!rows.follows);

/** Forgets what was shown. */
export function reset() {
  ring.clear();
  came = 0;
  fresh = 0;
  close();
  rows.follow(true);
  draw();
}

/** An exchange, a frame, noise, a gap, as the stream tells it. */
export function add(message) {
  came += 1;
  const gone = ring.push(message);
  if (gone) rows.shift(gone);
  if (!rows.follows) fresh += 1;
  draw();
}

/** So many were left out, since this page was too slow for them. */
export function lagged(number) {
  add({ type: "exchange", seq: null, text: `${num(number)} exchanges are missing here: the page did not keep up`, mark: "warn" });
}

export function draw() {
  rows.draw();
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    drawLatest();
    text(count, num(came));
    attr(count, "title", came > ring.length ? `The newest ${num(ring.length)} are here` : null);
    nothing.hidden = ring.length > 0 || !store.state;
    if (!nothing.hidden) drawNothing();
  });
}
let drawing = false;

function drawLatest() {
  latest.hidden = rows.follows || ring.length === 0;
  text(latest, fresh ? `${num(fresh)} new ↓` : "To the newest ↓");
}

function drawNothing() {
  const filter = stream?.filter;
  const shape = JSON.stringify([filter, store.state?.kind, store.state?.endpoints]);
  if (nothing.dataset.shape === shape) return;
  nothing.dataset.shape = shape;
  if (filter) {
    nothing.replaceChildren(h("strong", {}, "Nothing fits the filter"), h("span", {}, "What comes and fits is shown here."));
    return;
  }
  const places = (store.state?.endpoints ?? []).map((one) => (typeof one === "string" ? one : one.link ?? one.path ?? one.address ?? one.name)).filter(Boolean);
  const named = (before) => [before, ...places.flatMap((one, n) => [n ? " and " : "", h("code", {}, one)])];
  if (store.state?.kind === "bus") {
    nothing.replaceChildren(
      h("strong", {}, "Nothing was heard on this bus yet"),
      h("span", {}, ...named(places.length ? "k485 listens at " : "k485 listens"),
        ". An idle printer asks its boxes about once a second, a printing one at times only every 10 s. If nothing comes, end this one and ask ",
        h("code", {}, `k485 doctor ${places[0] ?? "PORT"}`), " what is wrong with the line."));
    return;
  }
  nothing.replaceChildren(
    h("strong", {}, "Nothing was said on this bus yet"),
    h("span", {}, ...(places.length ? named("A host finds it at ") : ["What is said is shown here."])));
}

/** Takes a filter, if it is one; what is wrong with it is said below the field. */
export async function setFilter(filter) {
  filter = filter.trim();
  try {
    if (filter) await call("GET", "exchanges?" + new URLSearchParams({ filter, limit: "1" }));
  } catch (error) {
    if (!(error instanceof Refused) || error.status < 400) return sayError(error);
    text(wrong, error.message);
    wrong.hidden = false;
    attr(field, "aria-invalid", "true");
    return;
  }
  wrong.hidden = true;
  attr(field, "aria-invalid", null);
  field.value = filter;
  clearFilter.hidden = !filter;
  if (!stream || stream.filter === filter) return;
  stream.filter = filter;
  stream.after = 0;
  reset();
  stream.open();
}

function open(item) {
  if (!item.request && !item.response && !item.raw && !item.bytes && !item.detail) return;
  pane.show(item);
  if (!pane.root.isConnected) place.append(pane.root);
  place.classList.add("with-details");
}

/** Closes the details. */
export function close() {
  if (!pane.root.isConnected) return false;
  const inside = pane.root.contains(document.activeElement);
  pane.root.remove();
  place.classList.remove("with-details");
  rows.selected = null;
  if (inside) rows.root.focus();
  rows.draw();
  return true;
}

function make() {
  const cells = ["time", "device", "function", "says", "latency"].map((name) => h("span", { class: name }));
  return h("div", { class: "entry" }, cells);
}

function fill(row, item) {
  const [time, device, function_, says, latency] = row.children;
  const frame = item.request ?? item.response ?? item;
  text(time, typeof item.time === "number" ? clockTime(item.time) : "");
  text(device, frame.device ?? "");
  text(function_, frame.function ?? (typeof frame.func === "number" ? `function ${frame.func.toString(16).toUpperCase().padStart(2, "0")}` : ""));
  attr(row, "data-kind", kindOf(item) || null);
  attr(row, "title", item.text ?? null);
  says.replaceChildren(...words(item, frame));
  text(latency, typeof item.latency_ms === "number" ? `${num(item.latency_ms, item.latency_ms < 100 ? 1 : 0)} ms` : "");
}

const ROLES = { good: "good", bad: "bad", warn: "warn", minor: "minor" };

/** The line's words behind device and function, each in its part's colour. */
function words(item, frame) {
  const all = item.words ?? [];
  if (all.length === 0) return [item.text ?? ""];
  const skip = new Set(["device", "function"]);
  return all.filter(([role]) => !frame.device || !skip.has(role)).flatMap(([role, word], n) => [n ? " " : "", ROLES[role] ? h("span", { class: ROLES[role] }, word) : word]);
}
