// Puts the page together: the stream of states and exchanges, what draws them, the keys.

import { attr, h, text } from "./dom.js";
import { store, subscribe, changed, boxes, pick, readOnly, sceneName } from "./store.js";
import { Refused, Stream, call, wantsToken, words } from "./api.js";
import { askToken, onToken } from "./token.js";
import * as boxCards from "./boxes.js";
import * as path from "./path.js";
import * as log from "./log.js";
import * as clock from "./clock.js";
import * as side from "./side.js";
import { cut, stopExtruder } from "./machine.js";
import { flipJam, pullOut, unjam } from "./slot.js";
import { bind, showHelp, tell } from "./keys.js";
import { unsay } from "./toast.js";
import * as unseen from "./unseen.js";

const link = document.getElementById("link");
const banner = document.getElementById("banner");
const title = document.getElementById("title");
let control = null;
let waiting = false;
/** Which run of k485 this is, and the last number that it gave. */
let run = null;
let seen = 0;

const stream = new Stream({ open: opened, lost, message });

/** Draws at the next frame, however often this is asked until then. */
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    document.body.classList.toggle("read-only", readOnly());
    heading();
    clock.draw();
    path.draw();
    boxCards.draw();
    unseen.draw();
    control?.draw();
    log.draw();
  });
}

function heading() {
  const state = store.state;
  const name = sceneName();
  const what = !state ? "" : state.kind === "bus" ? `heard at ${state.endpoints?.[0]?.path ?? "a port"}, read only` : readOnly() ? "an emulated bus, read only" : name ? "" : "an emulated bus";
  text(title, [name, what].filter(Boolean).join(" · "));
  document.title = [name ?? (state?.kind === "bus" ? "bus" : null), "k485"].filter(Boolean).join(" · ");
}

function said(state, what) {
  attr(link, "data-state", state);
  text(link.lastElementChild, what);
}

function opened() {
  said("live", "live");
  document.body.classList.remove("lost");
  banner.hidden = true;
  unsay("silence");
}

/** The stream ended. Why, a request tells, which a page may read. */
async function lost(wait, reason) {
  said("lost", "connection lost");
  document.body.classList.add("lost");
  try {
    take(await call("GET", "state"));
    const what = reason ? `There is no live stream: ${reason}` : "The live stream ended";
    show(`${what}; it is opened again in ${wait.toFixed(1)} s.`, reason ? "bad" : "warn");
  } catch (error) {
    if (wantsToken(error)) {
      show("This k485 shows nothing without its token.", "bad", ["Give the token", askToken]);
    } else if (error instanceof Refused && error.status > 0) {
      show(error.message, "bad");
    } else {
      show("The connection to k485 is lost: it has ended, or is started anew. This page connects again by itself.", "warn", ["Now", () => stream.open()]);
    }
  }
}

function show(what, kind, action) {
  if (link.dataset.state === "live") return;
  attr(banner, "data-kind", kind);
  banner.replaceChildren(h("span", {}, what), ...(action ? [h("button", { type: "button", on: { click: action[1] } }, action[0])] : []));
  banner.hidden = false;
}

function message(object) {
  switch (object.type) {
    case "hello":
      return begin(object);
    case "state":
      return take(object.state);
    case "exchange":
    case "frame":
    case "noise":
    case "gap":
      return log.add(object);
    case "lagged":
      return log.lagged(object.missed);
    default:
  }
}

/** A stream begins: of the same run of k485 as before, or of another, whose numbers begin anew. */
function begin({ run: now, last_seq }) {
  if (run !== null && (now !== run || last_seq < seen)) log.reset();
  run = now;
  seen = last_seq;
}

/** Takes a state. */
function take(state) {
  store.state = state;
  if (!boxes().some((box) => box.box === store.box) && boxes().length) store.box = boxes()[0].box;
  changed();
}

function view(name) {
  document.body.dataset.view = name;
  for (const one of document.querySelectorAll("#views button")) attr(one, "aria-pressed", one.dataset.view === name ? "true" : "false");
  draw();
}

const THEMES = [[null, "◐", "as the system"], ["light", "☀", "light"], ["dark", "☾", "dark"]];

function theme(step) {
  const root = document.documentElement;
  const now = THEMES.findIndex(([name]) => name === (root.dataset.theme ?? null));
  const [name, sign, words_] = THEMES[(now + step) % THEMES.length];
  if (name) root.dataset.theme = name;
  else delete root.dataset.theme;
  try {
    if (name) localStorage.setItem("k485-theme", name);
    else localStorage.removeItem("k485-theme");
  } catch {
    // It holds until the page is left.
  }
  const button = document.getElementById("theme");
  text(button, sign);
  attr(button, "aria-label", `Theme: ${words_}`);
}

/** Binds a key to something that there is nothing to do it to where the page only shows. */
const bindChange = (key, what, group, call_, label) =>
  bind(key, what, group, () => (readOnly() ? false : void call_()), { label, changes: true });

function keys() {
  for (const box of [1, 2, 3, 4]) {
    bindChange(String(box), "chooses a box", "Choosing", () => boxes().some((one) => one.box === box) && pick(box, store.slot));
  }
  for (const slot of ["a", "b", "c", "d"]) bindChange(slot, "chooses a slot", "Choosing", () => pick(store.box, slot.toUpperCase()));
  bindChange("i", "puts the spool of the form in", "The chosen slot", () => control.insert());
  bindChange("p", "pulls its filament out", "The chosen slot", pullOut);
  bindChange("j", "jams it, or frees it", "The chosen slot", flipJam);
  bindChange("u", "frees it", "The chosen slot", unjam);
  bindChange("e", "extrudes what the form says", "The printer", () => control.extrude());
  bindChange("s", "stops the extruder", "The printer", stopExtruder);
  bindChange("x", "cuts", "The printer", cut);
  bindChange(" ", "pauses the clock, or goes on", "The clock", clock.flip, "space");
  bindChange(".", "goes on by one step", "The clock", clock.forward);
  bind("/", "to the filter", "The exchanges", () => { view("log"); log.focusFilter(); });
  bind("g", "to the list", "The exchanges", () => { view("log"); log.focusRows(); });
  bind("f", "follows the newest, or stands still", "The exchanges", log.toggleFollow);
  bind("Escape", "closes the details", "The exchanges", log.close, { label: "Esc" });
  tell("↑ ↓", "in the list: the details of the next", "The exchanges");
  bind("t", "light, dark, as the system", "The page", () => theme(1));
  bind("?", "this list", "The page", showHelp);
}

document.getElementById("help").addEventListener("click", showHelp);
document.getElementById("theme").addEventListener("click", () => theme(1));
for (const one of document.querySelectorAll("#views button")) one.addEventListener("click", () => view(one.dataset.view));

theme(0);
keys();
boxCards.draw();
log.connect(stream);
subscribe(draw);
onToken(() => {
  if (link.dataset.state !== "live") stream.open();
});
words()
  .catch(() => ({ statuses: [], keys: [], materials: [] }))
  .then(({ statuses, keys: all, materials }) => {
    store.statuses = new Map(statuses.map((info) => [info.code, info]));
    store.keys = new Map(all.map((info) => [info.key, info]));
    store.materials = materials;
    control = side.build();
    stream.open();
  });
