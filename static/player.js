/** The scrubber beside pictures that answer to sliders: it plays their steps and shows the numbers at one. */

/** @import { Part, Player, PlayerState, Scrub } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { count, element, shownNumber } = await part("page.js");

const PLAY_SECONDS = [1.5, 6]; // a few steps go slowly enough to follow, many do not bore
const SECONDS_A_STEP = 0.15;
const LOOP_SECONDS_A_STEP = 0.35; // nobody has asked for it: calmer
const LOOP_REST = 1; // seconds at the end of a loop
const REST_MS = 400; // the whole path is seen while a slider is dragged

export const PLAYER_STYLE = `
.samedge-scrub-row { display: flex; align-items: center; gap: 12px; margin: 2px 4px; font-size: 0.875rem; }
.samedge-scrub-row[hidden], .samedge-readout[hidden] { display: none; }
.samedge-scrub-row input { flex: 1; min-width: 0; accent-color: var(--st-primary-color); }
.samedge-scrub-row output { white-space: nowrap; font-variant-numeric: tabular-nums; }
.samedge-scrub-row :focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.samedge-play { font: inherit; padding: 3px 14px; border-radius: 8px; cursor: pointer; min-width: 6em;
  color: var(--st-text-color); background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color, #999); }
.samedge-readout { display: block; overflow-x: auto; font-size: 0.875rem; border-collapse: collapse;
  font-variant-numeric: tabular-nums; margin: 0 4px 4px; }
.samedge-readout th { font-weight: 600; text-align: left; padding: 2px 18px 2px 0; }
.samedge-readout td { padding: 2px 18px 2px 0; min-width: 6em; border-top: 1px solid var(--st-border-color, #9994); }
`;

/**
 * Make the player of a state, which need not exist yet; `redraw()` draws the pictures and the player.
 * @type {(of: () => PlayerState, redraw: () => void) => Player}
 */
export function makePlayer(of, redraw) {
  const [button, range] = [element("button", "samedge-play"), element("input")];
  const [label, table] = [element("output"), element("table", "samedge-readout")];
  Object.assign(range, { type: "range", min: 0, step: 1 });
  range.setAttribute("aria-label", "Step shown");
  button.addEventListener("click", () => {
    const state = of();
    state.held = Boolean(state.playing);
    if (state.held) stopPlaying(state);
    else play(state, redraw);
    redraw();
  });
  range.addEventListener("input", () => {
    const state = of();
    state.held = true;
    stopPlaying(state);
    state.at = Number(range.value);
    redraw();
  });
  const row = element("div", "samedge-scrub-row");
  row.append(button, range, label);
  return { row, button, range, label, table };
}

/** Show the steps from the one that is shown on, or all of them from the last; again and again, if they loop. */
export function play(/** @type {PlayerState} */ state, /** @type {() => void} */ redraw) {
  if (!state.scrub) return;
  const { loop, steps } = state.scrub;
  const last = steps.length - 1;
  const once = Math.min(Math.max(last * SECONDS_A_STEP, PLAY_SECONDS[0]), PLAY_SECONDS[1]);
  const seconds = loop ? last * LOOP_SECONDS_A_STEP : once;
  let [from, began] = [state.at >= last ? 0 : state.at, performance.now()];
  const advance = (/** @type {number} */ now) => {
    if (!state.playing) return;
    const passed = Math.max(0, now - began) / 1000; // a frame's time is that of its beginning
    const at = Math.min(last, from + Math.floor((passed / seconds) * last));
    if (loop && passed > seconds + LOOP_REST) [from, began] = [0, now];
    state.playing = at < last || loop ? requestAnimationFrame(advance) : 0;
    if (at === state.at && state.playing) return; // as it is drawn
    state.at = at;
    redraw();
  };
  state.playing = requestAnimationFrame(advance);
}

/**
 * Play what loops by itself, once a slider rests, unless the reader holds it or asks for less motion.
 * @type {(state: PlayerState, redraw: () => void, rest?: number) => void}
 */
export function autoplay(state, redraw, rest = REST_MS) {
  clearTimeout(state.timer);
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!state.scrub?.loop || state.held || state.playing || still) return;
  state.timer = setTimeout(() => play(state, redraw), rest);
}

export function stopPlaying(/** @type {PlayerState} */ state) {
  clearTimeout(state.timer);
  cancelAnimationFrame(state.playing);
  state.playing = 0;
}

/** The step up to which pictures are drawn; infinite at the end, which grows with what is sent. */
export function currentStep(/** @type {PlayerState} */ { scrub, at }) {
  return !scrub || at >= scrub.steps.length - 1 ? Infinity : scrub.steps[at];
}

/** @type {(player: Player, state: PlayerState) => void} */
export function drawPlayer({ row, button, range, label, table }, { scrub, at, playing }) {
  row.hidden = !scrub;
  table.hidden = !scrub?.rows.length;
  if (!scrub) return;
  const last = scrub.steps.length - 1;
  const index = Math.min(at, last);
  button.textContent = playing ? "❚❚ Hold" : "▶ Play";
  button.setAttribute("aria-label", playing ? "Hold the steps" : "Play the steps");
  range.max = String(last);
  range.value = String(index);
  const shown = (/** @type {number} */ at) => `step ${count(scrub.steps[at])} of ${count(scrub.steps[last])}`;
  label.textContent = shown(index);
  label.style.minWidth = `${shown(last).length}ch`; // the range keeps its length
  table.replaceChildren(...readout(scrub, index));
}

/** The numbers at the step shown: a row for each rule. */
function readout(/** @type {Scrub} */ { columns, rows }, /** @type {number} */ index) {
  const head = element("tr");
  head.append(...["", ...columns].map((name) => element("th", "", name)));
  const body = rows.map(([label, color, values]) => {
    const row = element("tr");
    const name = element("th", "", label);
    name.style.color = color;
    row.append(name, ...values.map((column) => element("td", "", shownNumber(column[index]))));
    return row;
  });
  return [head, ...body];
}
