/** The scrubber beside figures that answer to sliders: it plays their steps and shows the numbers at one. */

/** @import { FiguresState, Part, Player, Scrub } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { count, element, shownNumber } = await part("page.js");

const PLAY_SECONDS = [1.5, 6]; // a few steps go slowly enough to follow, many do not bore
const SECONDS_A_STEP = 0.15;

export const PLAYER_STYLE = `
.samedge-scrub-row { display: flex; align-items: center; gap: 12px; margin: 2px 4px; font-size: 0.875rem; }
.samedge-figures [hidden] { display: none; }
.samedge-scrub-row input { flex: 1; min-width: 0; accent-color: var(--st-primary-color); }
.samedge-scrub-row output { min-width: 9.5em; font-variant-numeric: tabular-nums; }
.samedge-scrub-row :focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 2px; }
.samedge-play { font: inherit; padding: 3px 14px; border-radius: 8px; cursor: pointer; min-width: 6em;
  color: var(--st-text-color); background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color, #999); }
.samedge-readout { display: block; overflow-x: auto; font-size: 0.875rem; border-collapse: collapse;
  font-variant-numeric: tabular-nums; margin: 0 4px 4px; }
.samedge-readout th { font-weight: 600; text-align: left; padding: 2px 18px 2px 0; }
.samedge-readout td { padding: 2px 18px 2px 0; min-width: 6em; border-top: 1px solid var(--st-border-color, #9994); }
`;

/**
 * Make a player; `moved(at)` is called with the index of a step; `redraw()` draws the figures and the player.
 * @type {(events: { pressed: () => void, moved: (at: number) => void, redraw: () => void }) => Player}
 */
export function makePlayer({ pressed, moved, redraw }) {
  const [button, range] = [element("button", "samedge-play"), element("input")];
  const [label, table] = [element("output"), element("table", "samedge-readout")];
  Object.assign(range, { type: "range", min: 0, step: 1 });
  range.setAttribute("aria-label", "Step shown");
  button.addEventListener("click", () => {
    pressed();
    redraw();
  });
  range.addEventListener("input", () => {
    moved(Number(range.value));
    redraw();
  });
  const row = element("div", "samedge-scrub-row");
  row.append(button, range, label);
  return { row, button, range, label, table };
}

/** Show the steps from the one that is shown on, or all of them from the last. */
export function play(/** @type {FiguresState} */ state, /** @type {() => void} */ redraw) {
  if (!state.scrub) return;
  const last = state.scrub.steps.length - 1;
  const from = state.at >= last ? 0 : state.at;
  const seconds = Math.min(Math.max(last * SECONDS_A_STEP, PLAY_SECONDS[0]), PLAY_SECONDS[1]);
  const began = performance.now();
  const advance = (/** @type {number} */ now) => {
    if (!state.playing) return;
    state.at = Math.min(last, from + Math.floor(((now - began) / 1000 / seconds) * last));
    state.playing = state.at < last ? requestAnimationFrame(advance) : 0;
    redraw();
  };
  state.playing = requestAnimationFrame(advance);
}

export function stopPlaying(/** @type {FiguresState} */ state) {
  cancelAnimationFrame(state.playing);
  state.playing = 0;
}

/** The step of figures up to which they are drawn; infinite at the end, which grows with what is sent. */
export function currentStep(/** @type {FiguresState} */ { scrub, at }) {
  return !scrub || at >= scrub.steps.length - 1 ? Infinity : scrub.steps[at];
}

/** @type {(player: Player, state: FiguresState) => void} */
export function drawPlayer({ row, button, range, label, table }, { scrub, at, playing }) {
  row.hidden = table.hidden = !scrub;
  if (!scrub) return;
  const last = scrub.steps.length - 1;
  const index = Math.min(at, last);
  button.textContent = playing ? "❚❚ Hold" : "▶ Play";
  button.setAttribute("aria-label", playing ? "Hold the steps" : "Play the steps");
  range.max = String(last);
  range.value = String(index);
  label.textContent = `step ${count(scrub.steps[index])} of ${count(scrub.steps[last])}`;
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
