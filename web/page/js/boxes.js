// The boxes: who they are, what they do, what is in their slots, what went wrong.

import { h, svg, attr, text, style, num, hex, colour } from "./dom.js";
import { store, boxes, pick, status, key, readOnly } from "./store.js";

const place = document.getElementById("boxes");
let cards = null;

const STATES = {
  idle: ["idle", ""],
  preloading: ["preloading", "busy"],
  printing: ["printing", "good"],
  loading_or_unloading: ["loading or unloading", "busy"],
  error: ["error", "bad"],
  test_or_update: ["test or update", "warn"],
};

/** The cards that are shown: their numbers, their elements, and those of their errors. */
export const shown = () => cards ?? [];

/** Draws what there is now. */
export function draw() {
  if (!store.state) return skeleton();
  const all = boxes();
  if (cards?.length !== all.length || all.some((box, n) => cards[n].unit !== box.box)) {
    cards = all.map(card);
    place.replaceChildren(...cards.map((one) => one.root));
    if (all.length === 0) place.replaceChildren(nothing());
  }
  all.forEach((box, n) => cards[n].draw(box));
}

function skeleton() {
  cards = null;
  const bone = () => h("div", { class: "skeleton", "aria-hidden": "true" });
  place.replaceChildren(h("p", { class: "vh" }, "Loading"), bone(), bone());
}

function nothing() {
  const real = store.state.kind === "bus";
  const why = real
    ? "A box is shown as soon as one is heard."
    : "The scene has none. A scene with [[box]] tables makes some: load one under Scene.";
  return h("div", { class: "box empty" }, h("strong", {}, "No boxes"), why);
}

/** A box's card: its elements, and how they follow the state. */
function card(box) {
  const unit = box.box;
  const name = h("h2", {}, `Box ${unit}`);
  const state = h("span", { class: "chip" });
  const address = h("span", { class: "chip mono" });
  const marks = h("span", { class: "row" });
  const brief = h("p", { class: "facts" });
  const facts = h("p", { class: "facts" });
  const error = latched();
  const tiles = box.slots.map((slot) => tile(unit, slot));
  const root = h("article", { class: "box", "aria-label": `Box ${unit}` },
    h("header", {}, name, state, address, marks, brief), error.root,
    h("div", { class: "slots" }, tiles.map((one) => one.root)), facts);
  const draw = (now) => {
    attr(root, "data-unplugged", now.plugged === false ? "true" : null);
    const [word, kind] = now.plugged === false ? ["unplugged", "warn"] : now.answers === false ? ["no answer", "warn"] : (STATES[now.state] ?? [now.state ?? "not told", ""]);
    text(state, word);
    attr(state, "data-kind", kind || null);
    text(address, now.address === 254 ? "no address" : `address ${now.address}`);
    const troubles = [now.slips && "hub slips", ...(now.blocked ?? []).map((part) => `${part} blocked`)];
    chips(marks, troubles.filter(Boolean));
    pairs(brief, [
      ["", now.climate ? `${now.climate[0]} °C` : null],
      ["", now.climate ? `${now.climate[1]} %` : null],
    ]);
    pairs(facts, [
      ["odometer", Number.isFinite(now.odometer) ? `${num(now.odometer, 1)} mm` : null],
      ["firmware", now.version],
      ["serial", now.serial],
    ]);
    error.draw(now);
    now.slots.forEach((slot, n) => tiles[n]?.draw(slot, now));
  };
  return { unit, root, error: error.root, draw };
}

function chips(root, words) {
  const now = words.join();
  if (root.dataset.words === now) return;
  root.dataset.words = now;
  root.hidden = words.length === 0;
  root.replaceChildren(...words.map((word) => h("span", { class: "chip", data: { kind: "warn" } }, word)));
}

/** `name value` where there is a value. */
function pairs(root, list) {
  const known = list.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const now = JSON.stringify(known);
  if (root.dataset.now === now) return;
  root.dataset.now = now;
  root.hidden = known.length === 0;
  root.replaceChildren(...known.map(([name, value]) => h("span", {}, name ? name + " " : "", h("b", {}, value))));
}

/** The error that a box keeps, in words, with the printer's keys. */
function latched() {
  const root = h("div", { class: "latched", role: "status", hidden: true });
  let shown = 0;
  const draw = (box) => {
    if (shown === box.error && root.childElementCount > 0 === Boolean(box.error)) return;
    shown = box.error;
    root.hidden = !box.error;
    if (box.error) root.replaceChildren(...explained(box.error));
  };
  return { root, draw };
}

/** A status as elements: its name, what it means, what the printer shows. */
export function explained(code) {
  const info = status(code);
  const lines = [h("strong", {}, `${hex(code)} ${info?.name ?? "unknown status"}`)];
  lines.push(h("span", {}, info?.meaning ?? "Nobody has told what this status means."));
  const line = (what, numbers) => {
    for (const number of numbers ?? []) {
      lines.push(h("span", { class: "key" }, what + " ", h("b", {}, `key${number}`), key(number) ? `: ${key(number).meaning}` : ""));
    }
  };
  line("The printer shows", info?.keys);
  line("During a load or unload the printer shows", info?.context_keys);
  line("Fits by its meaning:", info?.likely_keys);
  return lines;
}

/** A slot's tile. */
function tile(unit, { slot: letter }) {
  const name = h("span", { class: "name" }, `T${unit}${letter}`);
  const picture = spool();
  const material = h("span", { class: "material" });
  const rest = h("span", { class: "rest" });
  const inlet = lamp("inlet");
  const hub = lamp("hub");
  const mark = h("span", { class: "mark", hidden: true }, "jam");
  name.append(mark);
  const root = h("button", { class: "slot", type: "button", on: { click: () => pick(unit, letter) } },
    picture.root, name, material, rest, h("span", { class: "flags" }, inlet.root, hub.root));
  const draw = (slot, box) => {
    picture.draw(slot);
    const there = has(slot);
    text(material, there ? (slot.spool?.material ?? "no tag") : untold(slot) ? "not told" : "empty");
    attr(material, "class", there ? "material" : "material muted");
    text(rest, remaining(slot));
    inlet.draw(slot.inlet, slot.forced?.includes("inlet"));
    hub.draw(slot.hub, slot.forced?.includes("hub"));
    mark.hidden = !slot.jammed;
    const picked = !readOnly() && store.box === unit && store.slot === letter;
    attr(root, "aria-pressed", readOnly() ? null : picked ? "true" : "false");
    attr(root, "title", slot.tag ? `tag ${slot.tag}` : null);
    attr(root, "aria-label", label(unit, slot, there));
    root.disabled = readOnly() && box.plugged === false;
  };
  return { root, draw };
}

/** A sensor: lit, dark, told what to show, or with a question mark where nothing was told of it. */
function lamp(name) {
  const sign = h("i");
  const root = h("span", {}, sign, name);
  const draw = (on, forced) => {
    const unknown = !isTold(on);
    attr(root, "data-on", on === true ? "true" : null);
    attr(root, "data-unknown", unknown ? "true" : null);
    attr(root, "data-forced", forced ? "true" : null);
    attr(root, "title", unknown ? "not told yet" : on ? "sees filament" : "sees nothing");
    text(sign, unknown ? "?" : "");
  };
  return { root, draw };
}

/** Whether a frame, or the emulated sensor itself, told of it. */
export const isTold = (on) => on === true || on === false;

/** Of a real bus's slot, whether anything is in it: nobody may have asked yet. */
const untold = (slot) => !slot.spool && !isTold(slot.inlet);

const has = (slot) => Boolean(slot.spool || slot.inlet || slot.filament?.length);

function remaining({ spool }) {
  if (typeof spool?.left === "number") {
    return spool.left > 0 ? `${num(spool.left / 1000, spool.left >= 10000 ? 0 : 2)} m` : "run out";
  }
  return typeof spool?.remain === "number" ? `${spool.remain} %` : "";
}

function label(unit, slot, there) {
  const words = [`Slot T${unit}${slot.slot}`, there ? (slot.spool?.material ?? "unknown filament") : untold(slot) ? "not told yet" : "empty", remaining(slot)];
  for (const sensor of ["inlet", "hub"]) {
    if (slot[sensor]) words.push(`${sensor} sensor on`);
    else if (!isTold(slot[sensor])) words.push(`${sensor} sensor not told yet`);
  }
  if (slot.jammed) words.push("jammed");
  return words.filter(Boolean).join(", ");
}

/** A spool as it is seen from its side: its colour, and how much is left. */
function spool() {
  const around = 2 * Math.PI * 17;
  const wound = svg("circle", { class: "wound", cx: 23, cy: 23, r: 17 });
  const full = svg("g", {},
    svg("circle", { class: "ring", cx: 23, cy: 23, r: 17 }), wound,
    svg("circle", { class: "edge", cx: 23, cy: 23, r: 21 }), svg("circle", { class: "edge", cx: 23, cy: 23, r: 13 }),
    svg("circle", { class: "core", cx: 23, cy: 23, r: 5 }));
  const unknown = svg("text", { x: 23, y: 27.5 }, "?");
  const none = svg("circle", { class: "none", cx: 23, cy: 23, r: 19 });
  const root = svg("svg", { class: "spool", viewBox: "0 0 46 46", "aria-hidden": "true" }, full, none, unknown);
  const draw = (slot) => {
    const there = has(slot);
    attr(full, "display", there ? null : "none");
    attr(none, "display", there ? "none" : null);
    attr(unknown, "display", (there && !slot.spool?.material) || untold(slot) ? null : "none");
    const part = Math.max(0, Math.min(1, (slot.spool?.remain ?? 100) / 100));
    attr(wound, "stroke-dasharray", `${around * part} ${around}`);
    style(root, "--fil", colour(slot.spool?.colour) ?? "var(--faint)");
  };
  return { root, draw };
}

