// Making elements. Texts become text nodes, whatever is in them: nothing here reads markup.

const SVG = "http://www.w3.org/2000/svg";

/** An element; `props` are attributes, `on` listeners, `data` data attributes. */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(element, { on, data, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) attr(element, name, value);
  for (const [name, value] of Object.entries(data ?? {})) element.dataset[name] = value;
  for (const [name, call] of Object.entries(on ?? {})) element.addEventListener(name, call);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets an attribute, or takes it away; touches the page only where something changes. */
export function attr(element, name, value) {
  if (value === null || value === undefined || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
    return;
  }
  const text = value === true ? "" : String(value);
  if (element.getAttribute(name) !== text) element.setAttribute(name, text);
}

/** Sets the text, where it changes. */
export function text(element, value) {
  const next = String(value ?? "");
  if (element.textContent !== next) element.textContent = next;
}

/** Sets a property of the style, where it changes. */
export function style(element, name, value) {
  if (element.style.getPropertyValue(name) !== value) element.style.setProperty(name, value);
}

/** A number for people: thousands apart, so many decimals. */
export function num(value, decimals = 0) {
  if (typeof value !== "number" || !Number.isFinite(value)) return "–";
  return value.toLocaleString("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
}

/** `0x0C`. */
export function hex(value) {
  return "0x" + Number(value).toString(16).toUpperCase().padStart(2, "0");
}

/** A colour that CSS takes, from six hex digits of anybody; else nothing. */
export function colour(value) {
  return typeof value === "string" && /^[0-9a-f]{6}$/i.test(value) ? "#" + value : null;
}
