"""Data of one's own, from the file dialogue to the chart."""

import re

import numpy as np


def choose_problem(lab, title: str) -> None:
    box = lab.page.get_by_role("combobox", name=re.compile("Model and data"))
    box.click()
    box.fill(title)
    box.press("Enter")


def test_an_upload_is_checked_described_and_trained_on(open_lab, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (600, 5, 4), dtype=np.uint8), np.arange(600) % 3
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    np.savez(tmp_path / "bad.npz", x=x, y=y[:7])
    lab = open_lab()
    choose_problem(lab, "Your own arrays")
    lab.page.get_by_text("A setting can't be used: choose a file first").wait_for()
    chooser = lab.page.locator("[data-testid=stFileUploaderDropzoneInput]")
    chooser.set_input_files(tmp_path / "bad.npz")
    lab.page.get_by_text(re.compile(r"y must have shape \(600,\).*got \(7,\)")).first.wait_for()
    assert lab.button("Start").is_disabled()
    lab.page.get_by_role("button", name="Remove bad.npz").click()
    chooser.set_input_files(tmp_path / "mine.npz")
    lab.page.get_by_text("mine.npz: 500 examples of 5 × 4 uint8, 3 classes, 0 held out.").wait_for()
    lab.press("Start")
    lab.until_step(3)
