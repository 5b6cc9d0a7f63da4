// The controls of one slot.

import { h, attr, colour } from "./dom.js";
import { store, boxes, currentSlot, slotName, pick } from "./store.js";
import { arrows, button, field, group, hand, number, row, segments } from "./parts.js";
import { say } from "./toast.js";

const SHOWS = [["truth", "Truth"], ["on", "On"], ["off", "Off"]];

/** Material, colour and length: what a spool is described with. */
export function spoolFields(id) {
  const material = h("input", { list: "materials", value: "PLA", maxlength: "12", placeholder: "no tag", "aria-label": "Material", spellcheck: "false" });
  const picker = h("input", { type: "color", value: "#ff7a1a", "aria-label": "Colour" });
  const code = h("input", { class: "mono", value: "ff7a1a", pattern: "#?[0-9a-fA-F]{6}", maxlength: "7", "aria-label": "Colour, six hex digits", spellcheck: "false", id });
  picker.addEventListener("input", () => { code.value = picker.value.slice(1); });
  code.addEventListener("input", () => {
    const value = code.value.replace("#", "");
    if (colour(value)) picker.value = "#" + value.toLowerCase();
  });
  const length = number("Length", 330, { unit: "m", min: 0, max: 10000 });
  const value = () => {
    if (!code.reportValidity()) return null;
    const metres = length.value();
    if (metres === null) return null;
    const spool = { length: metres * 1000 };
    if (material.value.trim()) Object.assign(spool, { material: material.value.trim(), colour: code.value.replace("#", "") });
    return spool;
  };
  return { rows: [field("Material", material), field("Colour", picker, code), field("Length", length.root)], value };
}

export function slotPanel() {
  // Those that have a name; six characters of a tag are taken too.
  const list = h("datalist", { id: "materials" }, store.materials.map((name) => h("option", { value: name })));
  const picks = h("div", { class: "slot-pick", role: "group", "aria-label": "Slot" });
  const spool = spoolFields("insert-colour");
  const at = number("Place", 800, { unit: "mm", min: 0, max: 100000 });
  const shows = (sensor) => segments(`${sensor} sensor shows`, SHOWS, (value, name) =>
    hand(`${slotName()}: ${sensor} sensor: ${name.toLowerCase()}`, { do: "sensor", slot: slotName(), sensor, shows: value }));
  const [inlet, hub] = [shows("inlet"), shows("hub")];
  const place = (what, make) => () => {
    const mm = at.value();
    if (mm !== null) hand(`${slotName()}: ${what} ${mm} mm`, { slot: slotName(), ...make(mm) });
  };
  const form = h("form", { on: { submit: (event) => { event.preventDefault(); insert(); } } },
    spool.rows, row(h("button", { class: "primary" }, "Insert", h("kbd", { "aria-hidden": "true" }, "i"))));
  const root = h("div", {}, list,
    group("Slot", picks),
    group("Put a spool in", form),
    group("Filament",
      row(button("Pull out", pullOut, { key: "p" }), button("Jam", jam, { key: "j", kind: "danger", label: "Jam the slot" }), button("Unjam", unjam, { key: "u" })),
      row(button("Run out", () => hand(`${slotName()}: ran out`, { do: "run_out", slot: slotName() }), { title: "The spool comes to its end" }),
        button("Clear", () => hand(`${slotName()}: cleared`, { do: "clear", slot: slotName() }), { label: "Clear the slot", title: "Takes all filament out of the path, broken pieces too" }))),
    group("At a place",
      field("From inlet", at.root),
      row(button("Break", place("broken at", (mm) => ({ do: "break", at: mm })), { kind: "danger" }),
        button("Jam", place("jam at", (mm) => ({ do: "jam", at: mm })), { kind: "danger", label: "Jam at this place", title: "No tip passes this place" }),
        button("Put tip", place("tip at", (mm) => ({ do: "place", tip: mm, spool: spool.value() ?? {} })), { title: "The spool above, fed so far" }))),
    group("Sensors", field("Inlet shows", inlet.root), field("Hub shows", hub.root),
      h("p", { class: "hint" }, "On and Off show the same whatever is there; Truth works again.")));

  function insert() {
    const value = spool.value();
    if (value) hand(`${slotName()}: inserted`, { do: "insert", slot: slotName(), spool: value });
  }

  const draw = () => {
    drawPicks(picks);
    const slot = currentSlot();
    inlet.draw(shown(slot, "inlet"));
    hub.draw(shown(slot, "hub"));
  };
  return { root, draw, insert };
}

/** What a slot's sensor was told to show. */
function shown(slot, sensor) {
  if (!slot) return null;
  return slot.forced?.includes(sensor) ? (slot[sensor] ? "on" : "off") : "truth";
}

/** A button for every slot, in rows of boxes. */
function drawPicks(root) {
  const names = boxes().flatMap((box) => box.slots.map((slot) => [box.box, slot.slot]));
  const shape = JSON.stringify(names);
  if (root.dataset.shape !== shape) {
    root.dataset.shape = shape;
    const buttons = names.map(([box, slot]) => h("button", { type: "button", data: { box, slot }, on: { click: () => pick(box, slot) } }, `T${box}${slot}`));
    root.replaceChildren(...buttons);
    arrows(root, buttons, (next) => next.click());
  }
  for (const one of root.children) {
    const on = Number(one.dataset.box) === store.box && one.dataset.slot === store.slot;
    attr(one, "aria-pressed", on ? "true" : "false");
    attr(one, "tabindex", on ? "0" : "-1");
  }
}

export const pullOut = () => hand(`${slotName()}: pulled out`, { do: "pull_out", slot: slotName() });
export const jam = () => hand(`${slotName()}: jammed`, { do: "jam", slot: slotName() });
export const unjam = () => hand(`${slotName()}: free`, { do: "unjam", slot: slotName() });

/** Jams the slot, or frees it. */
export function flipJam() {
  const slot = currentSlot();
  if (!slot) return say("There is no slot", "bad");
  return slot.jammed ? unjam() : jam();
}
