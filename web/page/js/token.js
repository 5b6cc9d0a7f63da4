// Asking for the token that changes need.

import { h } from "./dom.js";
import { setToken } from "./api.js";

const sheet = document.getElementById("ask");
let after = () => {};

/** What is done when a token was given. */
export function onToken(call) {
  after = call;
}

/** Asks; `wrong` if there was one that the server does not take. */
export function askToken(wrong) {
  if (sheet.open) return;
  const field = h("input", { type: "password", autocomplete: "off", required: true, id: "token-field", "aria-label": "Token" });
  const form = h("form", { class: "body", method: "dialog" },
    h("p", {}, wrong ? "This token is not the one of the running k485: it may have been started anew." : "To change something on the bus, the page needs the token of the running k485."),
    h("p", { class: "hint" }, "k485 says it on stderr at its start, as a part of the page's address; the file that the first line on stdout names has it too."),
    field,
    h("div", { class: "row" }, h("button", { class: "primary fixed" }, "Use it"), h("button", { type: "button", class: "fixed", on: { click: () => sheet.close() } }, "Not now")),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    setToken(field.value);
    sheet.close();
    after();
  });
  sheet.replaceChildren(h("header", {}, h("h2", { id: "ask-title" }, "Token")), form);
  sheet.showModal();
}
