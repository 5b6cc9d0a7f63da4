// The faults: rules that are in force, and new ones. And the scene.

import { h, attr, text, num } from "./dom.js";
import { store, sceneName } from "./store.js";
import { call, Refused } from "./api.js";
import { button, group, row } from "./parts.js";
import { attempt } from "./toast.js";
import { permitted } from "./token.js";

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
      await permitted(() => call("POST", "faults", { rule: rule.value }));
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
  const items = new Map();
  const draw = () => {
    const all = store.state?.faults ?? [];
    const before = [...rules.querySelectorAll("button")];
    const at = before.indexOf(document.activeElement);
    const emptied = document.activeElement === clear && all.length === 0;
    none.hidden = all.length > 0;
    clear.hidden = all.length === 0;
    follow(rules, items, all);
    // Whoever has just removed one with the keyboard is not sent back to the page's start.
    if ((at >= 0 && !before[at].isConnected) || emptied) {
      const [left, right] = [before.slice(0, at), before.slice(at)];
      const there = (one) => one.isConnected;
      (right.find(there) ?? left.findLast(there) ?? rule).focus();
    }
  };
  return { root, draw, count: () => (store.state?.faults ?? []).length };
}

/** Brings a list's items to what is in force; those that stay are left where they are. */
function follow(list, items, all) {
  const key = (fault) => `${fault.id} ${fault.rule}`;
  const now = new Set(all.map(key));
  for (const [name, { root }] of items) {
    if (now.has(name)) continue;
    root.remove();
    items.delete(name);
  }
  all.forEach((fault, n) => {
    const one = items.get(key(fault)) ?? item(fault);
    items.set(key(fault), one);
    one.draw(fault);
    if (list.children[n] !== one.root) list.insertBefore(one.root, list.children[n] ?? null);
  });
}

function item({ id, rule }) {
  const remove = () => attempt("", () => call("DELETE", `faults/${id}`));
  const struck = h("span");
  const root = h("li", {}, h("code", {}, rule), struck,
    h("button", { type: "button", class: "quiet", "aria-label": `Remove ${rule}`, on: { click: remove } }, "✕"));
  const draw = (fault) => {
    text(struck, `${num(fault.struck)}×`);
    attr(struck, "title", `It struck ${num(fault.struck)} of ${num(fault.met)} that it could strike`);
  };
  return { root, draw };
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
    group("Now", name, file, row(reload), h("p", { class: "hint" }, "Everything begins anew, as the file has it: boxes, filament, faults, events.")),
    group("Another one", open, h("div", { class: "row" }, source), row(h("button", { type: "button", class: "primary", on: { click: () => load({ toml: source.value }, "Scene loaded") } }, "Play it")), wrong));
  const draw = () => {
    const scene = store.state?.scene;
    text(name, sceneName() ?? "The bus of the command line, without a scene file.");
    text(file, scene?.name ?? "");
    reload.disabled = !scene?.name;
  };
  return { root, draw };
}
