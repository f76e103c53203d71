"""The page of a sweep: all of its runs, in numbers and in a browser, and nothing from any network."""

import re
import shutil
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evinr.pages import axes, parallel
from evinr.pages.sweep import SHOWN, Page, document, write
from evinr.sweeping.results import Row

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, which drives the browser")
from playwright.sync_api import Browser, expect  # noqa: E402
from playwright.sync_api import Page as Tab  # noqa: E402

expect.set_options(timeout=20_000)  # for machines with much else to do

SEARCHED = {
    "smooth": {"distribution": "log_uniform_values", "min": 0.01, "max": 10},
    "warm_iterations": {"min": 4, "max": 20},
    "precision": {"values": ["float32", "float64", "<u>"]},
}


def made(count: int, seed: int = 0) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        values: dict[str, Any] = {
            "smooth": float(10 ** rng.uniform(-2, 1)),
            "fit": {"warm-iterations": int(rng.integers(4, 21))},
            "precision": str(rng.choice(SEARCHED["precision"]["values"])),
            "source": "demo",
        }
        loss = 0.02 + 0.01 * np.log10(values["smooth"]) ** 2 + 0.002 * rng.uniform()
        state = "failed" if number % 11 == 5 else "stopped" if number % 7 == 3 else "finished"
        metric = None if state == "failed" else float(loss)
        scores = {} if metric is None else {"mse": metric, "ssim": float(1 - 8 * metric), "replay": float(0.2 + metric)}
        error = "demo: <script>alert(1)</script> is broken" if state == "failed" else None
        folder, history = f"runs/{number:03d}", [0.1] * 3
        rows.append(Row(number, f"r{number}", state, values, scores, metric, history, 3.2, folder, error))
    return rows


def page_of(rows: list[Row], **others: Any) -> Page:
    ramp = np.linspace(0, 255, 240 * 180).reshape(180, 240).astype(np.uint8)
    previews = {row.number: np.roll(ramp, 20 * row.number, axis=1) for row in rows if row.metric is not None}
    facts = [("recording", "demo & <more>"), ("method", "bayes")]
    return Page("weights <of> all", facts, "mse", "minimize", rows, SEARCHED, previews)._replace(**others)


class Balance(HTMLParser):
    """That all that is opened is closed."""

    VOID = {"meta", "img", "br", "hr", "input", "link"}

    def __init__(self, text: str):
        super().__init__()
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("count", [1, 2, 4, 6, 60])
def test_the_document_has_every_run_once_in_each_part(count: int):
    rows = made(count)
    text = document(page_of(rows))
    assert Balance(text).open == []
    scored = [row for row in rows if row.metric is not None]
    assert len(re.findall('<path class="run[^>]*data-run', text)) == (len(scored) if count > 1 else 0)
    assert len(re.findall('class="(?:dot|dot hollow|cross)" data-run', text)) == count
    assert text.count("<img") == min(len(scored), SHOWN)
    assert text.count("<tr data-run") == count + min(len(scored), SHOWN)
    assert all(text.count(tag) == 0 for tag in ("<script>alert", "<of>", "<more>", "<u>")) and "&lt;of&gt;" in text
    assert "http" not in text.replace("http-equiv", ""), "it asks nothing of any network"
    assert ("Told from 5 finished runs on" in text) == (sum(row.state == "finished" for row in rows) < 5)


def test_the_best_run_is_the_first_and_the_brightest():
    rows = made(60)
    text = document(page_of(rows))
    best = min((row for row in rows if row.state == "finished"), key=lambda row: row.metric or 0)
    assert re.findall('<tr data-run="([0-9]+)"', text)[0] == str(best.number)
    drawn = re.findall('<path class="run[^>]*data-run="([0-9]+)" stroke="(#[0-9a-f]{6})"', text)
    assert drawn[-1][1] == parallel.colour(1.0) and drawn[0][1] == parallel.colour(0.0)
    lowest = min((row for row in rows if row.metric is not None), key=lambda row: row.metric or 0)
    assert drawn[-1][0] == str(lowest.number)
    turned = [row._replace(metric=row.scores.get("ssim")) for row in rows]
    other = document(page_of(turned, goal="maximize", metric="ssim"))
    assert re.findall('<path class="run[^>]*data-run="([0-9]+)"', other)[-1] == str(lowest.number)


def test_runs_without_any_result_have_a_page():
    rows = [row._replace(state="failed", metric=None, scores={}, error="no") for row in made(3)]
    text = document(page_of(rows, previews={}))
    assert (
        Balance(text).open == [] and text.count("No run has come to its end") == 2 and "<dt>runs 0, 1, 2</dt>" in text
    )
    assert Balance(document(page_of([row._replace(metric=0.5) for row in made(7)]))).open == [], "all the same metric"


@pytest.mark.parametrize(
    ("values", "log", "places", "marks"),
    [
        ([0.0, 5.0, 10.0], False, [0, 0.5, 1], ["0", "5", "10"]),
        ([1.0, 10.0, 100.0], False, [0, 0.5, 1], ["1", "10", "100"]),
        ([1.0, 2.0, 4.0], True, [0, 0.5, 1], ["1", "2"]),
        ([1.0, 2.0, 4.0], False, [0, 1 / 3, 1], ["1", "2", "3", "4"]),
        ([3.0, None], False, [0.5, np.nan], ["3"]),
        ([None], False, [np.nan], []),
        ([-100.0, 100.0], True, [0, 1], ["-100", "0", "100"]),
        ([1e-5, 1e-3, float("inf")], True, [0, 1, np.nan], ["1e-5", "0.0001", "0.001"]),
    ],
)
def test_axes_of_numbers(values: list[float | None], log: bool, places: list[float], marks: list[str]):
    axis = axes.numbers(values, log)
    np.testing.assert_allclose(axis.places, places, atol=1e-9)
    assert [text for _, text in axis.marks] == marks
    assert all(-1e-6 <= place <= 1 + 1e-6 for place, _ in axis.marks)


def test_axes_of_words():
    axis = axes.words(["b", None, "a", "b", True, [1, 2]])
    assert sorted(text for _, text in axis.marks) == ["[1, 2]", "a", "b", "null", "true"]
    named = {text: place for place, text in axis.marks}
    assert axis.places[0] == axis.places[3] == named["b"] and axis.places[1] == named["null"]


def test_colours_go_from_one_end_to_the_other():
    assert parallel.colour(0.0) == "#64748b" and parallel.colour(1.0) == "#f5821e"
    assert len({parallel.colour(place) for place in np.linspace(0, 1, 30)}) == 30


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium is installed, in which the page would be opened")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Callable[..., Tab]]:
    """Opens a page from disk, without a network; fails at the end if it complained or asked for anything else."""
    complaints, asked, contexts = [], [], []

    def open_page(page: Page, **options: Any) -> Tab:
        write(tmp_path / "sweep.html", page)
        context = browser.new_context(offline=True, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto((tmp_path / "sweep.html").as_uri())
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == [] and all(url.startswith(("file:", "data:")) for url in asked)


def pull(tab: Tab, axis: int, start: float, end: float) -> None:
    """The mouse along an axis, from one place on it to another."""
    box = tab.locator(f'.column[data-axis="{axis}"] .grip').bounding_box()
    assert box is not None
    scale = box["height"] / (parallel.HEIGHT + 16)
    x, bottom = box["x"] + box["width"] / 2, box["y"] + box["height"] - 8 * scale
    tab.mouse.move(x, bottom - start * parallel.HEIGHT * scale)
    tab.mouse.down()
    tab.mouse.move(x, bottom - end * parallel.HEIGHT * scale, steps=3)
    tab.mouse.up()


def test_a_pull_along_an_axis_keeps_the_runs_that_pass_there(opened: Callable[..., Tab]):
    rows = made(60)
    tab = opened(page_of(rows))
    picture = tab.locator(".parallel")
    picture.scroll_into_view_if_needed()
    scored = [row for row in rows if row.metric is not None]
    expect(picture).to_have_attribute("data-kept", str(len(scored)))
    last = tab.locator(".column").count() - 1
    metrics = np.array([row.metric for row in scored], np.float64)
    places = (metrics - metrics.min()) / np.ptp(metrics)
    middle = float(np.sort(places)[20:22].mean())
    pull(tab, last, -0.02, middle)
    expect(picture).to_have_attribute("data-kept", "21")
    assert tab.locator(".course .out").count() == len(scored) - 21
    pull(tab, 0, 0.98, 1.02)
    pull(tab, 0, 0.5, 0.5)
    expect(picture).to_have_attribute("data-kept", "21")
    pull(tab, last, 0.5, 0.5)
    expect(picture).to_have_attribute("data-kept", str(len(scored)))


def test_a_run_is_lit_wherever_it_is(opened: Callable[..., Tab]):
    rows = made(20)
    tab = opened(page_of(rows))
    first = tab.locator("table.runs tbody tr").first
    run = first.get_attribute("data-run")
    first.hover()
    expect(tab.locator(".lit")).to_have_count(tab.locator(f'[data-run="{run}"]').count())
    expect(tab.locator(".said")).to_contain_text(f"run {run}: MSE 0.0")
    tab.locator("h1").hover()
    expect(tab.locator(".lit")).to_have_count(0)
    expect(tab.locator(".said")).to_contain_text("coloured by their place")


@pytest.mark.parametrize("count", [1, 500])
def test_it_fits_a_narrow_window_and_a_dark_one(count: int, opened: Callable[..., Tab]):
    tab = opened(page_of(made(count)), viewport={"width": 400, "height": 700}, color_scheme="dark")
    assert tab.evaluate("() => document.documentElement.scrollWidth") == 400
    assert tab.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(15, 17, 21)"


def test_without_scripts_all_is_there(opened: Callable[..., Tab]):
    tab = opened(page_of(made(20)), java_script_enabled=False)
    expect(tab.locator(".parallel")).to_be_visible()
    expect(tab.locator(".course")).to_be_visible()
    expect(tab.locator("td.picture img").first).to_be_visible()
    expect(tab.locator(".help")).to_be_hidden()
