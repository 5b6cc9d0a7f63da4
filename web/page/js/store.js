// What the page knows, and who is told when it changes.

export const store = {
  /** The last state, as the server told it; null until then. */
  state: null,
  /** Statuses and keys in words, by code. */
  statuses: new Map(),
  keys: new Map(),
  /** The slot that the controls are about. */
  box: 1,
  slot: "A",
  listeners: new Set(),
};

export function subscribe(call) {
  store.listeners.add(call);
}

export function changed() {
  for (const call of store.listeners) call();
}

export const bus = () => store.state?.bus ?? null;
export const boxes = () => bus()?.boxes ?? [];
export const currentBox = () => boxes().find((box) => box.box === store.box) ?? boxes()[0] ?? null;
export const currentSlot = () => currentBox()?.slots.find((slot) => slot.slot === store.slot) ?? null;
export const slotName = () => `T${store.box}${store.slot}`;
export const readOnly = () => store.state?.read_only ?? false;

/** Chooses a slot, and a box. */
export function pick(box, slot) {
  store.box = box;
  store.slot = slot;
  changed();
}

/** What is known of a status or a key. */
export const status = (code) => store.statuses.get(code) ?? null;
export const key = (number) => store.keys.get(number) ?? null;

/** What the scene is called: its title, or else its file. */
export function sceneName() {
  const scene = store.state?.scene;
  return scene?.title ?? scene?.name?.split("/").at(-1) ?? null;
}
