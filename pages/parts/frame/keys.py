"""A key for a button or switch that Streamlit's own `shortcut` can't give: it keeps R and C for
itself, hears none after a click on a radio button, and gives switches none."""

from streamlit.components.v2 import component

_LISTEN = """
const listening = new Map();

function pressed(event, keys) {
  const writes =
    "input:not([type=radio], [type=checkbox]), textarea, select, [contenteditable=true]";
  const typing = event.target.closest?.(writes);
  if (typing || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const name = keys[event.key.toLowerCase()];
  if (!name) return;
  event.stopImmediatePropagation();  // else Streamlit reruns the page on R
  const pressed = `.st-key-${name} :is(input[type=checkbox], button)`;
  document.querySelector(pressed)?.click();
}

// as Streamlit shows its own, where there is a keyboard; without a part in the button's name
function show(keys) {
  const style = document.getElementById("samedge-keys-style") ?? document.createElement("style");
  style.id = "samedge-keys-style";
  const shown = Object.entries(keys).map(([key, name]) =>
    `.st-key-${name} button [data-has-shortcut]::after { content: "${key.toUpperCase()}" / "";
      font-size: 0.875rem; line-height: 1; opacity: 0.6; }`);
  style.textContent = `@media (hover: hover) { ${shown.join(" ")} }`;
  document.head.append(style);
}

export default function ({ data, key }) {
  if (listening.has(key)) return;
  const listener = (event) => pressed(event, data);
  listening.set(key, listener);
  show(data);
  window.addEventListener("keydown", listener, { capture: true });
  return () => {
    window.removeEventListener("keydown", listener, { capture: true });
    listening.delete(key);
  };
}
"""

_mount = component("samedge_keys", js=_LISTEN)


def bind(**buttons: str) -> None:
    """`bind(r="reset")`: the key r presses the button or switch whose key is "reset"."""
    _mount(key="keys", data=buttons, height=1)
