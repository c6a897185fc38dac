/** What every component needs of the page: its life, style once, elements, numbers. */

/** @import { Component } from "./types.d.ts" */

/**
 * The two functions by which Streamlit drives a component, through the bootstrap of assets.py. `update`
 * comes at every message and change of theme; `release` may come while the element stays: only what has
 * left the page is forgotten.
 * @template State, Data
 * @param {(component: Component<Data>) => State} mount makes the element's content and the state
 * @param {(state: State, component: Component<Data>) => void} receive takes in a message
 * @param {(state: State) => void} [forget] ends what would outlive the element
 */
export function lifecycle(mount, receive, forget = () => {}) {
  /** @type {WeakMap<HTMLElement, State>} */
  const mounted = new WeakMap();
  return {
    update(/** @type {Component<Data>} */ component) {
      const host = component.parentElement;
      const state = mounted.get(host) ?? mount(component);
      mounted.set(host, state);
      receive(state, component);
    },
    release(/** @type {HTMLElement} */ host) {
      setTimeout(() => {
        const state = mounted.get(host);
        if (!state || host.isConnected) return;
        forget(state);
        mounted.delete(host);
      });
    },
  };
}

/**
 * A function that gives a new state what the last one under the same key held in these fields. A busy
 * server may lose the message that keeps an element, and Streamlit then mounts it anew, as it does on
 * a change of page. (The `key` that Streamlit itself passes is new at each mount.)
 * @type {(fields: string[]) => <State extends object>(key: string, state: State) => State}
 */
export function memory(fields) {
  const latest = new Map();
  return (key, state) => {
    const last = latest.get(key);
    if (last) Object.assign(state, Object.fromEntries(fields.map((field) => [field, last[field]])));
    latest.set(key, state);
    return state;
  };
}

/** Show `root` in an element, which from now on takes its height from it. */
export function fill(/** @type {HTMLElement} */ host, /** @type {HTMLElement} */ root) {
  host.replaceChildren(root);
  host.style.minHeight = ""; // set by the bootstrap
}

/** Add a style sheet to the page, once for each id. */
export function addStyle(/** @type {string} */ id, /** @type {string} */ css) {
  if (document.getElementById(id)) return;
  const style = element("style", "", css);
  style.id = id;
  document.head.append(style);
}

/** A new element with its class and text. @template {keyof HTMLElementTagNameMap} Tag */
export function element(/** @type {Tag} */ tag, className = "", text = "") {
  return Object.assign(document.createElement(tag), { className, textContent: text });
}

/** A new part of an SVG. @type {(tag: string, attributes: Record<string, string | number>, text?: string) => SVGElement} */
export function shape(tag, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.textContent = text;
  return made;
}

/** Five digits, and a dash where there is no number. */
export function shownNumber(/** @type {number | undefined} */ value) {
  if (value === undefined || !Number.isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-4 || Math.abs(value) >= 1e6)) return value.toExponential(3);
  return Number(value.toPrecision(5)).toString();
}

/** A whole number with its thousands apart. */
export function count(/** @type {number} */ step) {
  return step.toLocaleString("en");
}
