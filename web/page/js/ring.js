// The newest of something, up to a number. What is old goes in portions, so that adding is cheap.

export class Ring {
  constructor(most, portion = 1000) {
    this.most = most;
    this.portion = portion;
    this.list = [];
  }

  get length() {
    return this.list.length;
  }

  at(n) {
    return this.list[n];
  }

  indexOf(item) {
    // Most searches are for something new.
    return this.list.lastIndexOf(item);
  }

  /** Adds one; how many went at the start. */
  push(item) {
    this.list.push(item);
    if (this.list.length <= this.most) return 0;
    this.list.splice(0, this.portion);
    return this.portion;
  }

  clear() {
    this.list = [];
  }
}
