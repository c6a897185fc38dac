"""The page of the paper's tasks in a real browser, on small files in MNIST's format."""

import numpy as np

from tests.browser.reading import line, traces, until

FIGURES = ("Eigenvalues", "Eigenvalues at the edge in force", "Alignment", "Loss")


def test_a_task_runs_and_its_four_figures_and_table_follow(open_page):
    page = open_page("paper")
    page.get_by_role("figure", name="Loss").wait_for()
    page.get_by_text("Press Run").first.wait_for()
    page.get_by_role("button", name="Run", exact=True).first.click()
    page.get_by_role("radio", name="MNIST: SAM ρ 0.05").wait_for()

    def drawn() -> bool:
        return all(
            len(traces(page, name).get(trace, {"x": []})["x"]) >= 3
            for name, trace in (
                ("Eigenvalues", "sharpness"),
                ("Alignment", "g · v₁"),
                ("Held out", "held-out loss"),
            )
        )

    until(page, lambda: len(traces(page, "Loss").get("loss", {"x": []})["x"]) > 3, "a first run")
    page.get_by_role("radio", name="MNIST: SAM ρ 0.05").click()
    until(page, lambda: "SAM-edge" in traces(page, "Eigenvalues"), "the SAM run's figures")
    until(page, drawn, "three rows in every figure")
    # each reading waits: a busy server may have the charts mounted anew between two of them
    # as the paper draws them, eigenvalues are magnitudes; steps without a measurement are gaps
    second = np.array(line(page, FIGURES[0], "|λ2|")["y"], dtype=float)
    assert np.nanmin(second) >= 0
    titles = [page.locator(f'[aria-label="{name}"] .ytitle').text_content() for name in FIGURES[:2]]
    assert titles == ["eigenvalues, all edges", "eigenvalues, edge in force"]
    # 2/η is in the first figure, and not in the second
    traces(page, FIGURES[0], "2/η")
    assert "2/η" not in traces(page, FIGURES[1], "SAM-edge")
    table = page.get_by_role("table")
    assert [cell.inner_text() for cell in table.get_by_role("rowheader").all()] == [
        "MNIST: GD",
        "MNIST: SAM ρ 0.03",
        "MNIST: SAM ρ 0.05",
    ]
    assert "239,410" in table.inner_text()
    # a reload takes up the very same runs
    address = page.url
    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_role("button", name="Resume", exact=True).wait_for()
    page.reload()
    page.get_by_role("button", name="Resume", exact=True).wait_for()
    until(page, lambda: "loss" in traces(page, "Loss"), "figures after a reload")
    assert page.url == address


def test_large_and_narrow(open_page):
    page = open_page("paper", viewport={"width": 768, "height": 1000}, color_scheme="dark")
    for name in FIGURES:
        page.get_by_role("figure", name=name, exact=True).wait_for()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 768
