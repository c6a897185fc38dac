/** Which runs the live charts show, which one is the ghost of the last, and which branches were abandoned. */

/** @import { LiveState, Part, RunUpdate } from "./types.d.ts" */

/** @type {Part} */
const part = (name) => import(new URL(`${name}${new URL(import.meta.url).search}`, import.meta.url).href);
const { RunBuffer } = await part("buffer.js");

/** @typedef {Pick<LiveState, "runs" | "branches" | "predictions" | "ghost" | "replaced">} Known */

/**
 * Take over the runs of a message, its abandoned branches and predictions, and their new rows: all that are not in it are no
 * longer shown. Returns whether there is anything new to draw, and whether rows are missing.
 * @type {(state: Known, updates: RunUpdate[]) => { changed: boolean, gap: boolean }}
 */
export function applyUpdates(state, updates) {
  const predictions = updates.filter(({ predicts }) => predicts);
  const [branches, runs] = [true, false].map((wanted) => updates.filter(({ abandoned, predicts }) => !predicts && abandoned === wanted));
  const predictionsChanged = showPredictions(state, predictions.map(({ id }) => id));
  const branchesChanged = showBranches(state, branches.map(({ id }) => id));
  const runsChanged = showRuns(state, runs.map(({ id }) => id));
  const outcomes = [
    ...predictions.map((update) => state.predictions.get(update.id)?.accept(update)),
    ...branches.map((update) => state.branches.get(update.id)?.accept(update)),
    ...runs.map((update) => state.runs.get(update.id)?.accept(update)),
  ];
  const changed = predictionsChanged || branchesChanged || runsChanged || outcomes.includes("new");
  return { changed, gap: outcomes.includes("gap") };
}

/** Make the predictions those of the message; returns whether others were shown. */
function showPredictions(/** @type {Known} */ state, /** @type {string[]} */ ids) {
  const same = ids.length === state.predictions.size && ids.every((id) => state.predictions.has(id));
  state.predictions = new Map(ids.map((id) => [id, state.predictions.get(id) ?? new RunBuffer(id)]));
  return !same;
}

/** Make the abandoned branches those of the message; each has a buffer apart from the run's own. */
function showBranches(/** @type {Known} */ state, /** @type {string[]} */ ids) {
  const same = ids.length === state.branches.size && ids.every((id) => state.branches.has(id));
  state.branches = new Map(ids.map((id) => [id, state.branches.get(id) ?? new RunBuffer(id)]));
  if (state.ghost && ids.includes(state.ghost.id)) state.ghost = null;
  return !same;
}

/** Make the shown runs those of the message; a replaced run becomes the ghost, others are forgotten. */
function showRuns(/** @type {Known} */ state, /** @type {string[]} */ ids) {
  const gone = [...state.runs.values()].filter((run) => !ids.includes(run.id));
  const come = ids.filter((id) => !state.runs.has(id));
  if (!gone.length && !come.length) return false;
  const kept = new Map(state.runs);
  if (state.ghost) kept.set(state.ghost.id, state.ghost);
  state.runs = new Map(ids.map((id) => [id, kept.get(id) ?? new RunBuffer(id)]));
  state.replaced = come.length > 0;
  const leaving = gone.findLast((run) => run.rows > 1 && !state.branches.has(run.id));
  // No run at all is a pause between two runs: the one that left is the ghost of the next.
  if (leaving && (come.length || !ids.length)) state.ghost = leaving;
  if (state.ghost && ids.includes(state.ghost.id)) state.ghost = null;
  return true;
}
