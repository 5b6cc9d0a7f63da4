// The faults: rules that are in force, and new ones. And the scene.

import { h, text, num } from "./dom.js";
import { store, sceneName } from "./store.js";
import { call, Refused } from "./api.js";
import { button, group, row } from "./parts.js";
import { attempt } from "./toast.js";

const EXAMPLES = [
  ["drop p=0.1", "a tenth is lost"],
  ["drop if func==0x10 times=1", "the next EXTRUDE_PROCESS is lost"],
  ["delay 50ms jitter=200ms dir=response", "replies come late"],
  ["flip_data p=0.05", "wrong CRCs"],
  ["wrong_status status=STATE_ERR p=0.2", "another STATUS"],
  ["noise_before p=0.2", "bytes of nobody"],
  ["offline 10s if addr==box1 times=1", "box 1 is gone for 10 s"],
  ["reset if addr==box2 times=1", "box 2 starts anew"],
  ["duplicate dir=response p=0.1", "replies come twice"],
];

export function faultsPanel() {
  const rules = h("ul", { class: "rules" });
  const none = h("p", { class: "hint" }, "No faults: the bus does what it should.");
  const rule = h("input", { class: "mono", required: true, placeholder: "drop if func==0x10 p=0.1", "aria-label": "Rule", spellcheck: "false", autocapitalize: "off", list: "rule-examples" });
  const wrong = h("p", { class: "wrong", role: "alert", hidden: true });
  const clear = button("Remove all", () => attempt("No faults any more", () => call("DELETE", "faults")));
  const add = async (event) => {
    event.preventDefault();
    wrong.hidden = true;
    try {
      await call("POST", "faults", { rule: rule.value });
      rule.value = "";
    } catch (error) {
      if (!(error instanceof Refused) || ![400, 422].includes(error.status)) return attempt("", () => { throw error; });
      text(wrong, error.message);
      wrong.hidden = false;
    }
  };
  const form = h("form", { on: { submit: add } },
    h("datalist", { id: "rule-examples" }, EXAMPLES.map(([value, what]) => h("option", { value }, what))),
    row(rule, h("button", { class: "primary" }, "Add")), wrong);
  const examples = h("div", { class: "row" }, EXAMPLES.map(([value, what]) => button(what, () => { rule.value = value; rule.focus(); }, { title: value })));
  const root = h("div", {}, group("In force", none, rules, row(clear)), group("A new one", form), group("Examples", examples));
  const draw = () => {
    const all = store.state?.faults ?? [];
    none.hidden = all.length > 0;
    clear.hidden = all.length === 0;
    const shape = JSON.stringify(all);
    if (rules.dataset.shape === shape) return;
    rules.dataset.shape = shape;
    rules.replaceChildren(...all.map(item));
  };
  return { root, draw, count: () => (store.state?.faults ?? []).length };
}

function item(fault) {
  const remove = () => attempt("", () => call("DELETE", `faults/${fault.id}`));
  return h("li", {}, h("code", {}, fault.rule), h("span", { title: `It struck ${num(fault.struck)} of ${num(fault.met)} that it could strike` }, `${num(fault.struck)}×`),
    h("button", { type: "button", class: "quiet", "aria-label": `Remove ${fault.rule}`, on: { click: remove } }, "✕"));
}

export function scenePanel() {
  const name = h("p", {});
  const file = h("p", { class: "hint" });
  const wrong = h("p", { class: "wrong", role: "alert", hidden: true });
  const reload = button("Reload the file", () => load({}, "Scene reloaded"));
  const source = h("textarea", { rows: "14", "aria-label": "Scene in TOML", spellcheck: "false", placeholder: '[[box]]\nA = { material = "PLA", colour = "ff0000" }' });
  const open = h("input", { type: "file", accept: ".toml", "aria-label": "Scene file" });
  open.addEventListener("change", async () => {
    if (open.files[0]) source.value = await open.files[0].text();
  });
  const load = async (body, said) => {
    wrong.hidden = true;
    await attempt(said, async () => {
      try {
        await call("POST", "scene", body);
      } catch (error) {
        if (!(error instanceof Refused) || ![400, 413, 422].includes(error.status)) throw error;
        text(wrong, error.message);
        wrong.hidden = false;
        throw new Error("The scene was not taken: see below");
      }
    });
  };
  const root = h("div", {},
    group("Now", name, file, row(reload), h("p", { class: "hint" }, "A scene begins anew: boxes without their filament, clock and events from the start.")),
    group("Another one", open, h("div", { class: "row" }, source), row(h("button", { type: "button", class: "primary", on: { click: () => load({ toml: source.value }, "Scene loaded") } }, "Play it")), wrong));
  const draw = () => {
    const scene = store.state?.scene;
    text(name, sceneName() ?? "The bus of the command line, without a scene file.");
    text(file, scene?.name ?? "");
    reload.disabled = !scene?.name;
  };
  return { root, draw };
}
