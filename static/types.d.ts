/** The shapes that the modules of static/ share; `tsc` checks them, no browser reads them. */

import type { RunBuffer } from "./buffer.js";

/* ---------------------------------------------------------------- modules */

interface Modules {
  "envelope.js": typeof import("./envelope.js");
  "updates.js": typeof import("./updates.js");
  "buffer.js": typeof import("./buffer.js");
  "cells.js": typeof import("./cells.js");
  "decode.js": typeof import("./decode.js");
  "layout.js": typeof import("./layout.js");
  "mapView.js": typeof import("./mapView.js");
  "page.js": typeof import("./page.js");
  "player.js": typeof import("./player.js");
  "plot.js": typeof import("./plot.js");
  "scrubber.js": typeof import("./scrubber.js");
  "summary.js": typeof import("./summary.js");
  "theme.js": typeof import("./theme.js");
  "touch.js": typeof import("./touch.js");
  "traces.js": typeof import("./traces.js");
}

/** Imports a module under the version of the importing file, so that a browser never mixes old and new. */
export type Part = <Name extends keyof Modules>(name: Name) => Promise<Modules[Name]>;

/** What Streamlit passes to a component. */
export interface Component<Data> {
  parentElement: HTMLElement;
  data: Data;
  key: string;
  setStateValue: Send;
  setTriggerValue: Send;
}

export type Send = (name: string, value: unknown) => void;

/* ---------------------------------------------------------------- Plotly, as far as it is used */

export type Numbers = ArrayLike<number>;
export type Range = [number, number];
export type Options = { [option: string]: any };

export interface Trace extends Options {
  x: any;
  y: any;
  name?: string;
  legendgroup?: string;
  visible?: boolean | "legendonly";
}

export interface Plot extends HTMLDivElement {
  data: Trace[];
  layout: Options;
  _fullLayout: Options;
  on(event: string, listener: (event: any) => void): void;
}

export interface Plotly {
  react(plot: Plot, traces: Trace[], layout: Options, config?: Options): void;
  relayout(plot: Plot, change: Options): void;
  purge(plot: Plot): void;
  downloadImage(plot: Plot, options: Options): void;
  Fx: { hover(plot: Plot, at: Options, subplot: string): void; unhover(plot: Plot): void };
  Icons: Options;
  Plots: { resize(plot: Element): void };
}

declare global {
  interface Window {
    Plotly?: Plotly;
  }
}

/* ---------------------------------------------------------------- theme */

export interface Theme {
  text: string;
  background: string;
  panel: string;
  border: string;
  grid: string;
  mark: string;
  muted: string;
  font: string;
  scale: number; // of texts: 1, but for a projector
}

export type Shade = "strong" | "deep" | "mid";
export type Family = Record<Shade, string>;
export type Palette = { families: Family[]; ghost: string; bad: string; gd: string } & { [role: string]: any };

export interface Look {
  theme: Theme;
  palette: Palette;
}

/* ---------------------------------------------------------------- the live charts */

export type Quantity = "step" | "time" | "evals";

/** An update of one run: RunUpdate of components/live.py, its arrays decoded. */
export interface RunUpdate {
  id: string;
  label: string;
  rule: string;
  note: string;
  start: number;
  stop: number;
  full: boolean;
  abandoned: boolean;
  predicts: string;
  doubtful: Range[];
  rows: number;
  columns: Record<string, number | Numbers>;
  low?: Record<string, number | Numbers>;
  high?: Record<string, number | Numbers>;
  interventions: [step: number, text: string][];
  exact: Record<string, number>;
}

/** A column over an axis, a row each: x of its first and last step, its least, mean and most, and its steps. */
export interface Rims {
  x: number[];
  until: number[];
  low: number[];
  middle: number[];
  high: number[];
  sizes: number[];
}

/** What is drawn of a column, a bucket each; `opens`: a stretch begins with it; `rows`: which are in it. */
export interface Envelope {
  first: number[];
  last: number[];
  low: number[];
  middle: number[];
  high: number[];
  opens: boolean[];
  rows: number[][];
}

export interface View {
  x: Quantity;
  log_y: boolean;
  smooth: number;
  top_k: boolean;
  previous: boolean;
  fit: number;
  operator: boolean;
}

export interface LiveData {
  key: string;
  charts: string;
  runs: RunUpdate[];
  edges: Record<string, Edge>;
  view: View;
  cursor: { step: number | null; count: number } | null;
}

export interface Line {
  column: string;
  name: string;
  role: string;
  shape?: string;
  width?: number;
  fade?: number;
  connect?: boolean;
  smooth?: boolean;
  always?: boolean;
  topK?: boolean;
  /** The column of its standard error, drawn as a band. */
  error?: string;
  magnitude?: boolean;
  instead?: string;
  named?: (run: RunBuffer) => string;
  yaxis?: string;
  stroke?: Stroke;
  shade?: Shade;
}

export type Stroke = { width: number; dash: string };

/** How the edge of a rule is drawn; its history column is the key under which it comes with the data. */
export type Edge = { name: string; role: string; shape: string; stroke: Stroke };

/**
 * One chart. `log`: the y axis follows the log switch; `measured`: shows what the sharpness was measured
 * on, and where it has not converged; `band`: the line that gets the residual's band, as its hover text
 * does; `marked`: interventions are named; `unitLine`: a line at 1; `ownEdge`: 2/η only where it is the
 * edge in force, as in all charts of more than two runs that differ in it; `needs`: there only where a run
 * has values in this column; a chart whose main line has an `instead` is not there where runs have values in that
 * column alone; `titled`: the title where it depends on the runs, line by line; `fromZero`: unless false, a linear y axis begins at 0; `unit`: y from 0 to 1;
 * `ghost`: the column in which the previous run and abandoned branches are drawn.
 */
export interface Chart {
  name: string;
  title: string;
  lines: Line[];
  ghost?: { column: string; name: string };
  band?: Line;
  needs?: string;
  titled?: (runs: RunBuffer[], view: View) => string[];
  log?: boolean;
  wide?: boolean;
  measured?: boolean;
  marked?: boolean;
  unit?: boolean;
  unitLine?: boolean;
  ownEdge?: boolean;
  fromZero?: boolean;
}

/**
 * The charts of a page. `invitation` is what an empty chart says: each page has a button of its own to
 * start with; `dense`: two charts stand side by side where there is little room, too.
 */
export interface ChartSet {
  set: Chart[];
  invitation: string;
  dense?: boolean;
}

/** A run and its place among those shown; null where it is alone. */
export interface Placed {
  run: RunBuffer;
  place: number | null;
}

/** What traces and layouts are made from. */
export interface Shown extends Look {
  edges: Record<string, Edge>;
  runs: Map<string, RunBuffer>;
  branches: Map<string, RunBuffer>;
  predictions: Map<string, RunBuffer>;
  ghost: RunBuffer | null;
  view: View;
  hidden: Set<string>;
  span: Range | null;
  cursor: number | null;
  zoom: { x: Range | null; y: Map<string, { range: Range; byUser: boolean }> };
  charts: Map<string, Plot>;
  invitation: string;
  dense?: boolean;
  dragmode: string;
  revision: number;
}

/** All that one mounted set of live charts knows. */
export interface LiveState extends Shown {
  set: Chart[];
  follow: HTMLButtonElement;
  abort: AbortController;
  observer: ResizeObserver | null;
  plotly: Plotly | null;
  replaced: boolean;
  lacking: boolean;
  asking: number;
  hover: { chart: Chart; x: number } | null;
  dragging: boolean;
  frame: number;
  queue: Chart[];
  dirty: boolean;
  cursorCount: number;
  reported: number | null;
  click: { before: number | null; timer: number } | null;
  cursorFrame: number;
  scrubber: Scrubber | null;
  send: Send;
}

/* ---------------------------------------------------------------- the scrubber under them */

export interface ScrubberRow {
  run: RunBuffer;
  color: string;
}

export interface Scrubber {
  root: HTMLElement;
  range: HTMLInputElement;
  exact: HTMLInputElement;
  button: HTMLButtonElement;
  note: HTMLOutputElement;
  table: HTMLTableElement;
  rows: ScrubberRow[];
  cursor: number | null;
  written: string | null;
  held: boolean;
}

export interface ScrubberEvents {
  moved: (step: number | null) => void;
  settled: () => void;
  signal: AbortSignal;
}

/* ---------------------------------------------------------------- figures that answer to sliders */

/** A coloured grid: Raster of components/figures.py, decoded. */
export interface Raster {
  z: Numbers[];
  x: Range;
  y: Range;
  stops: [value: number, color: string][];
}

/** Figure of components/figures.py, decoded and coloured. */
export interface Figure {
  name: string;
  traces: Trace[];
  layout: Options;
  columns: number;
  rows: number;
  height: number;
  rasters: Raster[];
  click: boolean;
  cursor: boolean;
  summary: string;
}

/** Scrub of components/figures.py, decoded and coloured. */
export interface Scrub {
  steps: number[];
  columns: string[];
  rows: [label: string, color: string, values: Numbers[]][];
  loop: boolean;
}

export interface FiguresData {
  key: string;
  scene: string;
  figures: Figure[];
  scrub: Scrub | null;
}

export interface Player {
  row: HTMLElement;
  button: HTMLButtonElement;
  range: HTMLInputElement;
  label: HTMLOutputElement;
  table: HTMLTableElement;
}

/** What can be played. */
export interface PlayerState {
  scrub: Scrub | null;
  at: number; // index of the step that is shown; infinite at the end
  playing: number;
  held: boolean; // by the reader
  timer: number;
}

export interface FiguresState extends Look, PlayerState {
  grid: HTMLElement;
  plotly: Plotly | null;
  frame: number;
  scene: string | null;
  figures: (Figure & { images: Options[] })[];
  plots: Map<string, Plot>;
  zoom: Map<string, Map<string, Range>>;
  hidden: Set<string>;
  painted: Map<string, { key: string; source: string }>;
  abort: AbortController;
  send: Send;
  observer: ResizeObserver;
  player: Player;
}

/* ---------------------------------------------------------------- the valley of the first minute */

/** What components/valley.py sends, decoded. */
export interface ValleyData {
  key: string;
  name: string;
  scene: string;
  half: number;
  top: number;
  curve: { x: Numbers; y: Numbers };
  path: { x: Numbers; y: Numbers };
  left: boolean;
  scrub: Scrub;
}

export interface ValleyState extends Look, PlayerState {
  svg: SVGSVGElement;
  observer: ResizeObserver;
  player: Player;
  data: ValleyData | null;
  scene: string | null;
}

/* ---------------------------------------------------------------- the chart to draw on */

/** By column, a share of the chart's height; null where nothing is drawn. */
export type Curve = (number | null)[];
export type Place = [x: number, y: number];

/** Line of components/sketch.py, decoded; the reader's own has the marker "ring". */
export interface SketchLine {
  name: string;
  role: string;
  dash: string;
  width: number;
  marker: string;
  x: Numbers;
  y: Numbers;
}

export interface SketchData {
  key: string;
  name: string;
  scene: string;
  text: string;
  heard: number;
  locked: boolean;
  steps: number;
  start: number;
  top: number;
  columns: number;
  levels: number;
  lines: SketchLine[];
}

export interface SketchState extends Look {
  root: HTMLElement;
  svg: SVGSVGElement;
  observer: ResizeObserver;
  legend: HTMLElement;
  tools: HTMLElement;
  pad: HTMLElement;
  note: HTMLElement;
  summary: HTMLElement;
  undoButton: HTMLButtonElement;
  clearButton: HTMLButtonElement;
  handles: HTMLInputElement[];
  data: SketchData | null;
  scene: string | null;
  curve: Curve;
  undo: Curve[];
  stroke: { id: number; at: Place; before: Curve } | null;
  count: number;
  timer: ReturnType<typeof setTimeout> | 0;
  set: Send;
}

/* ---------------------------------------------------------------- sliders */

/** A field of components/sliders.py. */
export interface Field {
  name: string;
  label: string;
  unit: string;
  help: string;
  low: number;
  high: number;
  log: boolean;
  zero: boolean;
  integer: boolean;
  text: string;
  error: string;
  mark: [value: number, label: string] | null;
}

export interface Control {
  root: HTMLElement;
  label: HTMLLabelElement;
  help: HTMLElement;
  text: HTMLInputElement;
  range: HTMLInputElement;
  error: HTMLElement;
  mark: HTMLElement;
  field: Field;
}

export interface SlidersData {
  fields: Field[];
  count: number;
}

export interface SlidersState {
  root: HTMLElement;
  prefix: string;
  controls: Map<string, Control>;
  texts: Map<string, string>;
  trigger: Send;
  count: number;
  settled: boolean;
  unsent: boolean;
  waiting: boolean;
  sentAt: number;
  dragging: boolean;
  abort: AbortController;
}

/* ---------------------------------------------------------------- phase diagrams */

export interface DiagramAxis {
  label: string;
  values: number[] | Float64Array;
  log: boolean;
}

/** What is drawn of components/diagram.py: the quantity, what the fates are called, and lines from theory. */
export interface DiagramView {
  quantity: { name: string; label: string; scale: string; log: boolean; range: [number, number] | null };
  quantities: { name: string; label: string }[];
  fates: string[];
  blank: number[]; // fates whose numbers mean nothing: those cells have no colour
  lines: { name: string; x: Numbers; y: Numbers; dash: number[] }[];
  predicted: boolean; // whether what a flow says is drawn over the cells
}

/** The numbers of all cells, by quantity: the median over the seeds, the least and the largest. */
export interface DiagramTable {
  fate: Uint8Array;
  predicted: Uint8Array; // the fate that a flow says
  wrong: Uint8Array; // for how many seeds it is another one
  columns: Record<string, Float32Array>;
  lows: Record<string, Float32Array>;
  highs: Record<string, Float32Array>;
}

export interface DiagramData {
  key: string;
  name: string;
  diagram: { id: string; x: DiagramAxis; y: DiagramAxis | null };
  view: DiagramView;
  base: number; // what the new cells follow; below 0, they are all there are
  version: number;
  cells: number[] | Float64Array;
  fate: Uint8Array;
  predicted: Uint8Array | null; // null where nothing is predicted
  wrong: Uint8Array | null;
  columns: Record<string, Numbers>;
  lows: Record<string, Numbers>;
  highs: Record<string, Numbers>;
  running: number[];
  chosen: [number, number] | null;
  total: number;
}

/** Where things are on the canvas, in pixels: the borders of the columns and rows, and any value. */
export interface DiagramPlace {
  box: { left: number; top: number; right: number; bottom: number };
  size: number;
  xs: number[];
  ys: number[];
  xAt: (value: number) => number;
  yAt: (value: number) => number;
}

export interface DiagramState extends Look {
  root: HTMLElement;
  board: HTMLElement;
  canvas: HTMLCanvasElement;
  over: HTMLCanvasElement;
  card: HTMLElement;
  legend: HTMLElement;
  summary: HTMLElement;
  observer: ResizeObserver;
  send: Send;
  id: string;
  version: number;
  table: DiagramTable;
  data: DiagramData;
  place: DiagramPlace | null;
  at: [number, number] | null; // the cell that is looked at
  from: [number, number] | null; // the other corner of the marked part
}

/* ---------------------------------------------------------------- the map of fates */

/** x from, x to, y from, y to, in axis units. */
export type FatesView = [number, number, number, number];

/** One number a point, row by row from below (samedge_core/sweeps/following.py). */
export interface FatesPicture {
  values: Uint16Array;
  count: number;
  view: FatesView;
  image?: HTMLCanvasElement | null;
}

/** How far a map goes, and how narrow a view of it may be. */
export interface MapBounds {
  whole: FatesView;
  finest: [number, number];
}

export interface FatesData extends MapBounds {
  key: string;
  origin: string;
  picture: Uint8Array;
  count: number;
  coarse: number;
  fine: number;
  view: FatesView;
  log: [boolean, boolean];
  labels: [string, string];
  words: string[];
  lines: { name: string; dash: number; x: any; y: any }[];
  marks: [number, number][];
  summary: string;
}

export interface FatesState {
  root: HTMLElement;
  canvas: HTMLCanvasElement;
  tip: HTMLElement;
  legend: HTMLElement;
  trigger: Send;
  abort: AbortController;
  watch: ResizeObserver;
  data: FatesData | null;
  picture: FatesPicture | null;
  table: Uint32Array | null;
  view: FatesView;
  box: { left: number; top: number; width: number; height: number };
  origin: string;
  latest: number;
  frame: number;
  scheme: string;
  waiting: boolean;
  askedAt: number;
  movedAt: number;
  keys: boolean;
  click: ReturnType<typeof setTimeout> | undefined;
  down: Map<number, [number, number]>;
}

/* ---------------------------------------------------------------- the table of runs */

export interface RunsColumn {
  name: string;
  label: string;
  title: string;
  help: string;
  kind: string;
  sortable: boolean;
}

export interface RunsRow {
  id: string;
  name: string;
  faint: boolean;
  cells: any[];
}

export interface RunsData {
  columns: RunsColumn[];
  rows: RunsRow[];
  sort: string;
  descending: boolean;
  selected: string[];
  version: number;
}

export interface RunsState {
  head: HTMLElement;
  body: HTMLElement;
  rows: Map<string, { text: string; row: HTMLTableRowElement; box: HTMLInputElement }>;
  selected: Set<string>;
  version: number | null;
  anchor: string | null;
  all: HTMLInputElement;
  data: RunsData;
  set: Send;
  trigger: Send;
}

export type Cell = (
  td: HTMLTableCellElement,
  value: any,
  place: { run: RunsRow; column: RunsColumn; state: RunsState },
) => void;
