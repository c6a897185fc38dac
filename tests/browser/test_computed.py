"""The picture of what a network computes, in a real browser: it follows the run and its pauses."""

import re

from tests.browser.reading import endless

SURFACE = """() => {
  const plot = document.querySelector('[role=figure][aria-label^="Decision surface"]');
  if (!plot?.layout) return null;
  return {
    label: plot.querySelector(".samedge-summary").textContent, title: plot.layout.xaxis.title.text,
    image: plot.layout.images[0].source, names: plot.data.map((trace) => trace.name),
  };
}"""


def test_the_picture_changes_while_the_run_goes_on_and_stands_still_at_its_step(open_lab):
    lab = open_lab(endless("sam-circles"))

    def seen() -> dict:
        return lab.page.evaluate(SURFACE) or {}

    def step() -> int:
        found = re.search(r"at step ([\d,]+):", seen().get("label", ""))
        return int(found[1].replace(",", "")) if found else -1

    lab.press("Start")
    lab.until(lambda: step() >= 0, "a picture")
    first = seen()
    lab.until(lambda: seen()["image"] != first["image"] and step() > 0, "another picture")
    lab.pause()
    last = lab.last_step()
    lab.until(lambda: step() == last, "the picture of the last step")
    still = seen()
    assert still["title"] in still["label"]
    assert {"class 0", "class 1", "held out"} <= set(still["names"])
    lab.page.wait_for_timeout(1500)  # three ticks
    assert seen() == still
    lab.press("Step")
    lab.until(lambda: step() == last + 1, "the picture of one step more")
