// The controls of a box, of the printer, and of motors, belt modules and rack.

import { h, text, hex } from "./dom.js";
import { store, bus, boxes, currentBox, key, changed } from "./store.js";
import { button, field, follow, group, hand, number, row, segments, toggle } from "./parts.js";
import { spoolFields } from "./slot.js";

export function boxPanel() {
  const which = pickers();
  const unit = () => store.box;
  const plug = button("Unplug", () => {
    const plugged = currentBox()?.plugged !== false;
    hand(`Box ${unit()}: ${plugged ? "unplugged" : "plugged in"}`, { do: plugged ? "unplug" : "plug", box: unit() });
  });
  const reset = button("Reset", () => hand(`Box ${unit()}: reset`, { do: "reset", box: unit() }), { title: "Switched off and on at once: it has no address then" });
  const slips = toggle("Hub slips", (on) => hand(`Box ${unit()}: hub ${on ? "slips" : "grips"}`, { do: "slip", box: unit(), on }), "The hub gear turns without gripping");
  const block = (part, name) => toggle(name, (on) => hand(`Box ${unit()}: ${part} ${on ? "blocked" : "turns"}`, { do: "block", box: unit(), part, on }));
  const [hub, wheel] = [block("hub", "Hub blocked"), block("wheel", "Wheel blocked")];
  const temperature = number("Temperature", 25, { unit: "°C", min: -40, max: 120, step: 1 });
  const humidity = number("Humidity", 30, { unit: "%", min: 0, max: 100, step: 1 });
  for (const { input } of [temperature, humidity]) input.addEventListener("input", () => { input.dataset.touched = "true"; });
  const climate = async () => {
    const [t, rh] = [temperature.value(), humidity.value()];
    if (t === null || rh === null) return;
    if (await hand(`Box ${unit()}: ${t} °C, ${rh} %`, { do: "climate", box: unit(), temperature: t, humidity: rh })) {
      for (const { input } of [temperature, humidity]) delete input.dataset.touched;
    }
  };
  const silent = () => hand(`Box ${unit()}: its climate sensor does not answer`, { do: "climate", box: unit() });
  const about = h("p", { class: "hint" });
  const root = h("div", {},
    group("Box", which.root, row(plug, reset)),
    group("What goes wrong", row(slips.root, hub.root, wheel.root)),
    group("Climate", field("Measured", temperature.root, humidity.root), row(button("Set", climate), button("No answer", silent, { title: "The sensor does not answer: both read zero" }))),
    group("Identity", about));
  const draw = () => {
    which.draw();
    const box = currentBox();
    if (!box) return;
    plug.firstChild.data = box.plugged === false ? "Plug in" : "Unplug";
    reset.disabled = box.plugged === false;
    slips.draw(box.slips);
    hub.draw(box.blocked?.includes("hub"));
    wheel.draw(box.blocked?.includes("wheel"));
    if (box.climate) {
      follow(temperature.input, box.climate[0]);
      follow(humidity.input, box.climate[1]);
    }
    text(about, [box.uniid && `identity ${box.uniid}`, box.serial && `serial ${box.serial}`, box.version && `firmware ${box.version}`].filter(Boolean).join(", "));
  };
  return { root, draw };
}

/** One of the boxes. */
function pickers() {
  const root = h("div", { class: "row" });
  let picker = null;
  const draw = () => {
    const shape = boxes().map((box) => box.box).join();
    if (root.dataset.shape !== shape) {
      root.dataset.shape = shape;
      picker = segments("Box", boxes().map((box) => [String(box.box), `Box ${box.box}`]), (value) => {
        store.box = Number(value);
        changed();
      });
      picker.root.classList.add("grow");
      root.replaceChildren(picker.root);
    }
    picker?.draw(String(store.box));
  };
  return { root, draw };
}

const FACTS = { truth: "works", on: "shows filament", off: "shows none" };

export function printerPanel() {
  const mm = number("Length", 80, { unit: "mm", min: 0.1, max: 100000 });
  const speed = number("Speed", 5, { unit: "mm/s", min: 0.1, max: 1000 });
  const extrude = (sign) => {
    const [length, fast] = [mm.value(), speed.value()];
    if (length !== null && fast !== null) hand(`Extruder: ${sign * length} mm`, { do: "extrude", mm: sign * length, speed: fast });
  };
  const run = (sign) => {
    const fast = speed.value();
    if (fast !== null) hand(`Extruder: turns at ${sign * fast} mm/s`, { do: "extruder", speed: sign * fast });
  };
  const toolhead = segments("Toolhead sensor shows", [["truth", "Truth"], ["on", "On"], ["off", "Off"]], (value) =>
    hand(`Toolhead sensor: ${FACTS[value]}`, { do: "toolhead", shows: value }));
  const buffer = segments("Buffer", [["free", "Free"], ["full", "Full"], ["middle", "Middle"], ["empty", "Empty"]], (value) =>
    value === "free" ? hand("Buffer: free", { do: "free_buffer" }) : hand(`Buffer: held ${value}`, { do: "hold_buffer", at: value }));
  const now = h("p", { class: "hint" });
  const root = h("div", {},
    group("Extruder", field("Length", mm.root), field("Speed", speed.root),
      row(button("Extrude", () => extrude(1), { key: "e", kind: "primary" }), button("Retract", () => extrude(-1))),
      row(button("Keep turning", () => run(1)), button("Keep retracting", () => run(-1)), button("Stop", stopExtruder, { key: "s" })), now),
    group("Cutter", row(button("Cut", cut, { key: "x", kind: "danger" }))),
    group("Toolhead sensor", toolhead.root),
    group("Buffer", buffer.root, h("p", { class: "hint" }, "Held, its slack does not change.")));
  const draw = () => {
    const state = bus();
    if (!state) return;
    toolhead.draw(state.toolhead_forced ? (state.toolhead ? "on" : "off") : "truth");
    const held = state.buffer?.held;
    buffer.draw(held ? (state.buffer.full ? "full" : state.buffer.empty ? "empty" : "middle") : "free");
    text(now, state.extruder ? `It turns at ${state.extruder.toFixed(1)} mm/s.` : "It stands still.");
  };
  return { root, draw, extrude: () => extrude(1) };
}

export const cut = () => hand("Cut", { do: "cut" });
export const stopExtruder = () => hand("Extruder: stopped", { do: "extruder", speed: 0 });

export function devicesPanel() {
  const motors = motorGroup();
  const belts = beltGroup();
  const rack = rackGroup();
  const none = h("p", { class: "hint" }, "This bus has boxes only. A scene with [[motor]], [[belt]] or [rack] makes others.");
  const root = h("div", {}, none, motors.root, belts.root, rack.root);
  const draw = () => {
    const devices = bus()?.devices ?? [];
    none.hidden = devices.length > 0;
    motors.draw(devices.filter((one) => one.kind === "motor"));
    belts.draw(devices.filter((one) => one.kind === "belt"));
    rack.draw(devices.find((one) => one.kind === "rack"));
  };
  return { root, draw };
}

/** A list of addresses that follows the devices there are. */
function addresses(label, name) {
  const root = h("select", { "aria-label": label });
  const draw = (devices) => {
    const shape = devices.map((one) => one.address).join();
    if (root.dataset.shape === shape) return;
    root.dataset.shape = shape;
    root.replaceChildren(...devices.map((one) => h("option", { value: one.address }, `${name(one.address)}, ${hex(one.address)}`)));
  };
  return { root, draw };
}

function motorGroup() {
  const which = addresses("Motor", (address) => `motor ${address - 0x80}`);
  const bits = [...Array(14).keys()].map((bit) => ["errors", bit, 781 + bit]).concat([...Array(3).keys()].map((bit) => ["warnings", bit, 795 + bit]));
  const boxes = bits.map(([word, bit, number]) => {
    const input = h("input", { type: "checkbox" });
    const label = h("label", {}, input, h("span", {}, h("code", {}, `key${number}`), " ", key(number)?.meaning.replace(/^motor( warning)?: /, "") ?? ""));
    return { word, bit, input, label };
  });
  let all = [];
  const send = () => {
    const words = { errors: 0, warnings: 0 };
    for (const { word, bit, input } of boxes) if (input.checked) words[word] += 2 ** bit;
    hand(`Motor ${hex(which.root.value)}: protection set`, { do: "motor", address: Number(which.root.value), ...words });
  };
  for (const { input } of boxes) input.addEventListener("change", send);
  which.root.addEventListener("change", () => draw(all));
  const root = group("Motor's protection", field("Motor", which.root), h("div", { class: "checks" }, boxes.map((one) => one.label)));
  const draw = (motors) => {
    all = motors;
    root.hidden = motors.length === 0;
    which.draw(motors);
    const now = motors.find((one) => String(one.address) === which.root.value);
    for (const { word, bit, input } of boxes) input.checked = Boolean(((now?.[word] ?? 0) >>> bit) & 1);
  };
  return { root, draw };
}

function beltGroup() {
  const which = addresses("Belt module", (address) => `belt ${address === 0x21 ? "x" : "y"}`);
  const adc = number("Reading", 2000, { min: 0, max: 4294967295, step: 1 });
  const set = () => {
    const value = adc.value();
    if (value !== null) hand(`Belt module ${hex(which.root.value)}: reads ${value}`, { do: "belt", address: Number(which.root.value), adc: value });
  };
  const root = group("Belt module", field("Module", which.root), field("Reads", adc.root, button("Set", set)));
  const draw = (belts) => {
    root.hidden = belts.length === 0;
    which.draw(belts);
  };
  return { root, draw };
}

function rackGroup() {
  const spool = spoolFields("rack-colour");
  const now = h("p", { class: "hint" });
  const put = () => {
    const value = spool.value();
    if (value) hand("Rack: a spool was put on it", { do: "rack", spool: value });
  };
  const root = group("Rack", now, ...spool.rows, row(button("Put on", put), button("Take away", () => hand("Rack: empty", { do: "rack" }))));
  const draw = (rack) => {
    root.hidden = !rack;
    text(now, rack?.tag ? `On it: tag ${rack.tag}` : "Nothing is on it, so it does not answer.");
  };
  return { root, draw };
}
