// The control panel: its tabs.

import { h, attr } from "./dom.js";
import { store } from "./store.js";
import { arrows } from "./parts.js";
import { slotPanel } from "./slot.js";
import { boxPanel, devicesPanel, printerPanel } from "./machine.js";
import { faultsPanel, scenePanel } from "./faults.js";

const place = document.getElementById("side");

/** Builds the panel; what the shortcuts need of it. */
export function build() {
  const panels = [["slot", "Slot", slotPanel()], ["box", "Box", boxPanel()], ["printer", "Printer", printerPanel()], ["devices", "Others", devicesPanel()], ["faults", "Faults", faultsPanel()], ["scene", "Scene", scenePanel()]];
  const tabs = panels.map(([id, name]) =>
    h("button", { type: "button", role: "tab", id: `tab-${id}`, "aria-controls": `panel-${id}`, on: { click: () => show(id) } }, name));
  const bodies = panels.map(([id, , panel]) => h("div", { class: "panel", role: "tabpanel", id: `panel-${id}`, "aria-labelledby": `tab-${id}` }, panel.root));
  const bar = h("div", { class: "tabs", role: "tablist", "aria-label": "Control" }, tabs);
  arrows(bar, tabs, (tab) => tab.click());
  place.replaceChildren(bar, ...bodies);
  let shown = "slot";

  function show(id) {
    shown = id;
    panels.forEach(([own], n) => {
      attr(tabs[n], "aria-selected", own === id ? "true" : "false");
      attr(tabs[n], "tabindex", own === id ? "0" : "-1");
      bodies[n].hidden = own !== id;
    });
    draw();
  }

  const badge = h("small", { hidden: true });
  tabs[4].append(badge);

  function draw() {
    // Before there is a state, there is nothing to do anything to.
    attr(place, "inert", !store.state);
    if (!store.state) return;
    const faults = panels[4][2].count();
    badge.hidden = faults === 0;
    badge.textContent = String(faults);
    panels.find(([id]) => id === shown)[2].draw();
  }

  show(shown);
  const [slot, , printer] = panels.map(([, , panel]) => panel);
  return { draw, show, insert: slot.insert, extrude: printer.extrude };
}
