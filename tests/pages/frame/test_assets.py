"""Where browsers get Plotly.js from."""

from importlib import metadata, resources

import pytest

from pages.parts.frame import assets

SHIPPED = resources.files("plotly") / "package_data" / "plotly.min.js"
VERSION = metadata.version("plotly")


@pytest.fixture
def static(tmp_path, monkeypatch):
    """Another folder for static/, and nothing known of it."""
    monkeypatch.setattr(assets, "STATIC", tmp_path)
    assets._plotly_js.cache_clear()
    yield tmp_path
    assets._plotly_js.cache_clear()


@pytest.mark.parametrize("before", [None, b"/* plotly.js v1 */"])
def test_static_gets_the_installed_packages(static, before):
    copy = static / "plotly.min.js"
    if before:
        copy.write_bytes(before)
    assert assets._plotly_js() == f"app/static/plotly.min.js?v={VERSION}"
    assert copy.read_bytes() == SHIPPED.read_bytes()
    assert list(static.iterdir()) == [copy]


def test_a_current_copy_stays(static):
    assets._plotly_js()
    made = (static / "plotly.min.js").stat()
    assets._plotly_js.cache_clear()
    assets._plotly_js()
    assert (static / "plotly.min.js").stat() == made


def test_where_no_copy_can_be_made_the_package_itself_is_served(static, monkeypatch):
    monkeypatch.setattr(assets, "STATIC", static / "missing")
    served = "component/pages.parts.frame.assets.plotly/plotly.min.js"
    assert assets._plotly_js() == f"{served}?v={VERSION}"
    assert "plotly=component%2Fpages.parts" in assets.module("live.js", tall=1, wide=1)
