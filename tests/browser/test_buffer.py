"""The rows that the browser keeps of a long run, by buffer.js alone: no run is waited for."""

# 40,000 rows in messages of 100: smooth, but for one step in which the ratio jumps
_THIN = """async () => {
  const { RunBuffer } = await import("/app/static/buffer.js");
  const buffer = new RunBuffer("a");
  const bytes = (values) => new Uint8Array(Float32Array.from(values).buffer);
  const code = (values) => btoa(String.fromCharCode(...bytes(values)));
  for (let from = 0; from < 40000; from += 100) {
    const steps = Array.from({ length: 100 }, (_, i) => from + i);
    const ratio = code(steps.map((step) => (step === 300 ? 0.5 : 0.9 + step * 1e-6)));
    buffer.accept({
      full: from === 0, start: from - 1, stop: from + 99, rows: 100, label: "GD", rule: "gd",
      interventions: [[300, "a"], [7000, "b"]],
      columns: { step: { from, by: 1 }, sharpness: 1, grad_norm: 1, loss: 1, ratio },
    });
  }
  return { steps: buffer.columns.get("step"), least: Math.min(...buffer.columns.get("ratio")) };
}"""


def test_thinning_keeps_the_rows_at_an_intervention_and_the_extremes_of_the_ratio(open_page):
    kept = open_page("").evaluate(_THIN)
    assert kept["least"] == 0.5
    assert {299, 300, 6999, 7000} <= set(kept["steps"])
    assert len(kept["steps"]) <= 6000
    assert kept["steps"] == sorted(set(kept["steps"]))
