// A list of any length in a fixed number of elements: those that are in sight are filled in.

import { h, attr, style } from "./dom.js";

const SPARE = 6;
/** Where there is little width, a row has two lines (log.css). */
const NARROW = matchMedia("(max-width: 900px)");
const rowHeight = () => (NARROW.matches ? 52 : 24);

/**
 * `fill(element, item)` writes an item into a row's element, `make()` makes one; `items` is an
 * array-like with `length` and `at(n)`.
 */
export class Rows {
  constructor({ items, make, fill, pick, label }) {
    Object.assign(this, { items, make, fill, pick });
    this.spacer = h("div", { class: "spacer", role: "presentation" });
    this.root = h("div", { class: "rows", role: "listbox", tabindex: "0", "aria-label": label }, this.spacer);
    this.pool = [];
    this.selected = null;
    /** Whether the newest is kept in sight. */
    this.follows = true;
    this.waiting = false;
    this.root.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.root.addEventListener("keydown", (event) => this.key(event));
    this.root.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.draw()).observe(this.root);
    NARROW.addEventListener("change", () => this.again());
  }

  /** Draws at the next frame, however often this is asked until then. */
  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.paint();
    });
  }

  paint() {
    const rowPx = rowHeight();
    const { root, items } = this;
    const count = items.length;
    style(this.spacer, "height", `${count * rowPx}px`);
    const height = root.clientHeight;
    if (height === 0) return;
    if (this.follows) root.scrollTop = count * rowPx;
    const need = Math.ceil(height / rowPx) + SPARE;
    while (this.pool.length < need) this.grow();
    const first = Math.max(0, Math.min(Math.floor(root.scrollTop / rowPx) - SPARE / 2, count - need));
    this.first = first;
    let active = null;
    this.pool.forEach((row, n) => {
      const at = first + n;
      const item = n < need && at < count ? items.at(at) : null;
      row.hidden = item === null;
      if (item === null) {
        row.item = null;
        return;
      }
      style(row, "transform", `translateY(${at * rowPx}px)`);
      if (row.item !== item) {
        row.item = item;
        this.fill(row, item);
      }
      const chosen = item === this.selected;
      attr(row, "aria-selected", chosen ? "true" : "false");
      attr(row, "aria-posinset", at + 1);
      attr(row, "aria-setsize", count);
      if (chosen) active = row.id;
    });
    attr(root, "aria-activedescendant", active);
  }

  grow() {
    const row = this.make();
    row.id = `row-${this.pool.length}`;
    row.item = null;
    attr(row, "role", "option");
    this.pool.push(row);
    this.spacer.append(row);
  }

  /** Fills every row again, since what is shown of an item has changed. */
  again() {
    for (const row of this.pool) row.item = null;
    this.draw();
  }

  /** So many items at the start are gone: what is in sight stays where it is. */
  shift(count) {
    const rowPx = rowHeight();
    if (!this.follows) this.root.scrollTop = Math.max(0, this.root.scrollTop - count * rowPx);
  }

  scrolled() {
    const rowPx = rowHeight();
    const { root } = this;
    const end = root.scrollTop + root.clientHeight >= root.scrollHeight - rowPx / 2;
    if (end !== this.follows && !this.waiting) this.follow(end);
    this.draw();
  }

  follow(on) {
    this.follows = on;
    this.onFollow?.(on);
    this.draw();
  }

  clicked(event) {
    const row = event.target.closest(".entry");
    if (row?.item) this.select(row.item);
  }

  select(item) {
    this.selected = item;
    this.pick(item);
    this.draw();
  }

  key(event) {
    const rowPx = rowHeight();
    const page = Math.max(1, Math.floor(this.root.clientHeight / rowPx) - 1);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const { items } = this;
    if (items.length === 0) return;
    const now = this.selected === null ? -1 : items.indexOf(this.selected);
    const from = now < 0 ? (step > 0 ? (this.first ?? 0) - 1 : items.length) : now;
    const at = Math.max(0, Math.min(items.length - 1, from + step));
    this.select(items.at(at));
    this.show(at);
    if (step === Infinity) this.follow(true);
  }

  /** Brings an item into sight. */
  show(at) {
    const rowPx = rowHeight();
    const { root } = this;
    const [top, bottom] = [at * rowPx, (at + 1) * rowPx];
    if (top >= root.scrollTop && bottom <= root.scrollTop + root.clientHeight) return;
    this.follows = false;
    this.onFollow?.(false);
    root.scrollTop = top < root.scrollTop ? top : bottom - root.clientHeight;
  }
}
