"""The page in a browser, without a network: it would stay empty, or a switch would do nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Page, sync_playwright

from bnrepro.analysis.report.write import write_report

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
RUNS_CODE = "<img src=x onerror=alert(1)>"
"""What a norm is called."""
FIGURE = "document.querySelector('[data-chart=error]')"


@dataclass
class Shown:
    """The page in a browser that has no network, and what it complained about or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def plotly(self, expression: str) -> Any:
        """Of the figure's element, called `chart`."""
        return self.page.evaluate(f"(() => {{ const chart = {FIGURE}; return {expression}; }})()")


@pytest.fixture(scope="module")
def shown(module_sweep: Callable[..., Path]) -> Iterator[Shown]:
    states = {"bn-b1-s0": "failed", "bn-b2-s1": "diverged", "gn-b4-s0": "missing"}
    norms = ("bn", "none", "gn")
    sweep = module_sweep(norms=norms, batch_sizes=(1, 2, 4, 32), seeds=(0, 1, 2), states=states)
    plan = json.loads((sweep / "sweep.json").read_text())
    (sweep / "sweep.json").write_text(json.dumps(plan | {"norm_labels": {"gn": RUNS_CODE}}))
    path = write_report([sweep]).path
    with sync_playwright() as playwright:
        # without a sandbox it also runs as root, and it opens nothing but our own page
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(offline=True, viewport={"width": 1280, "height": 900}).new_page()
        shown = Shown(page)
        page.on("console", lambda m: shown.complaints.append(m.text) if m.type != "log" else None)
        page.on("pageerror", lambda error: shown.complaints.append(str(error)))
        page.on("request", lambda request: shown.requests.append(request.url))
        page.on("dialog", lambda dialog: shown.complaints.append(dialog.message))
        page.goto(path.as_uri())
        page.wait_for_selector("html[data-ready]", state="attached")
        yield shown
        browser.close()


def test_it_loads_without_complaints_and_without_asking_any_host(shown: Shown) -> None:
    assert shown.complaints == []
    assert [url for url in shown.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert shown.page.locator(".chart .main-svg").count() >= 5


def test_pointing_at_a_mark_shows_its_value_its_seeds_and_their_commands(shown: Shown) -> None:
    x, y = shown.plotly(
        "(() => { const box = chart.getBoundingClientRect(), axes = chart._fullLayout, trace = chart.data[0];"
        " const place = trace.x.findIndex((x) => Math.abs(x - 4) < 0.5);"
        " return [box.left + axes.xaxis._offset + axes.xaxis.d2p(trace.x[place]),"
        "         box.top + axes.yaxis._offset + axes.yaxis.d2p(trace.y[place])]; })()"
    )
    shown.page.mouse.move(x, y)
    label = shown.page.locator("#figure .hoverlayer .hovertext")
    label.wait_for()
    assert "95 % interval" in label.text_content()
    detail = shown.page.locator("#detail")
    assert "Batch norm, batch_size 4" in detail.text_content()
    assert detail.locator("code").all_text_contents() == [
        f"bnrepro train norm=bn batch_size=4 seed={seed}" for seed in (0, 1, 2)
    ]


VISIBLE = "chart.data.filter((trace) => trace.visible && trace.meta?.on.norm === 'bn').length"


def test_a_switch_hides_a_line_and_brings_it_back(shown: Shown) -> None:
    switch = shown.page.locator("input[data-switch=norm][value=bn]")
    lines = shown.page.locator("#figure .scatterlayer .trace")
    before = lines.count()
    switch.uncheck()
    assert shown.plotly(VISIBLE) == 0
    assert 0 < lines.count() < before
    switch.check()
    assert shown.plotly(VISIBLE) > 0
    assert lines.count() == before


def test_statistics_and_the_logarithmic_axis_can_be_switched(shown: Shown) -> None:
    before = shown.plotly(VISIBLE)
    shown.page.locator("input[data-switch=statistics][value=precise]").check()
    assert shown.plotly(VISIBLE) > before
    shown.page.locator("input[data-switch=scale][value=log]").check()
    assert shown.plotly("chart._fullLayout.yaxis.type") == "log"
    shown.page.locator("input[data-switch=scale][value=linear]").check()
    assert shown.plotly("chart._fullLayout.yaxis.type") == "linear"


def test_a_click_on_a_column_sorts_the_table(shown: Shown) -> None:
    """By number where there are numbers; what has none comes last."""
    column = shown.page.locator("#runs tbody td:nth-child(3)")
    head = shown.page.locator("#runs th:nth-child(3) button")
    head.click()
    *rising, failed = column.all_text_contents()
    assert failed == "–"
    assert list(map(float, rising)) == sorted(map(float, rising))
    head.click()
    assert column.all_text_contents() == [*reversed(rising), "–"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_and_its_charts_follow_the_readers_scheme(
    shown: Shown, scheme: Literal["light", "dark"]
) -> None:
    """Black lines on a black page."""
    shown.page.emulate_media(color_scheme=scheme)
    paper, ink = ("rgb(255, 255, 255)", "#1f2328") if scheme == "light" else ("rgb(20, 23, 26)", "#e3e6e8")
    assert shown.page.evaluate("getComputedStyle(document.body).backgroundColor") == paper
    # the charts are drawn again a moment after the page has changed
    shown.page.wait_for_function(f"() => {FIGURE}._fullLayout.font.color === '{ink}'")
    black = f"{FIGURE}.data.find((trace) => trace.meta?.on.norm === 'none').line.color === '#1A1A1A'"
    shown.page.wait_for_function(f"() => ({black}) === {str(scheme == 'light').lower()}")


@pytest.mark.parametrize("width", [400, 1280])
def test_nothing_is_wider_than_the_window(shown: Shown, width: int) -> None:
    """A reader on a telephone would push the page from side to side."""
    shown.page.set_viewport_size({"width": width, "height": 800})
    shown.page.wait_for_function(f"() => {FIGURE}._fullLayout.width <= {width}")
    assert shown.page.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.complaints == []
