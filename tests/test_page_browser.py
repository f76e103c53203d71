"""The page in a browser, down to its pixels. Waits are for conditions, never for times."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from evinr.pages.comparison import Clip, Method, Page, write
from evinr.report import diverging
from evinr.scores import Mean

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed, which drives the browser")
from playwright.sync_api import Browser, expect  # noqa: E402
from playwright.sync_api import Page as Tab  # noqa: E402

expect.set_options(timeout=20_000)  # for machines with much else to do

COUNT = 5
TIMES = np.array([2.0, 2.01, 2.02, 2.03, 2.06])
HEIGHT, WIDTH = 24, 32

PIXELS = """() => [...document.querySelectorAll("canvas")].map((canvas) => {
  const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  return {width: canvas.width, height: canvas.height, data: data.join(" ")};
})"""


def gray(panel: int, index: int) -> int:
    """A level that tells panel and picture."""
    return 30 * panel + 5 * index + 7


def levels(panel: int, count: int = COUNT) -> np.ndarray:
    return np.stack([np.full((HEIGHT, WIDTH), gray(panel, index), np.uint8) for index in range(count)])


def method(title: str, pictures: np.ndarray, score: float = 0.1) -> Method:
    frames = {"mse": score + 0.01 * np.arange(len(pictures)), "psnr": np.full(len(pictures), np.nan)}
    means = {"mse": Mean(score, None, None), "lpips": Mean(None, None, None)}
    return Method(Clip(title, pictures), means, frames, {"total": [1.0, 0.1, 0.01]}, [("seconds", "1")])


PAGE = Page(
    "levels",
    [("protocol", "aligned")],
    TIMES,
    [method(f"method {panel}", levels(panel), 0.1 * panel) for panel in (1, 2, 3)],
    Clip("truth", levels(0)),
    Clip("events", levels(4)),
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        pytest.skip("no Chromium is installed, in which the page would be opened")
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


Opener = Callable[..., Tab]


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Opener]:
    """Opens a page from disk, without a network; fails at the end if it complained or asked for anything else."""
    complaints, asked, contexts = [], [], []

    def open_page(page: Page = PAGE, **options) -> Tab:
        path = tmp_path / "page.html"
        write(path, page)
        context = browser.new_context(offline=True, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        tab = context.new_page()
        tab.on("console", lambda message: complaints.append(message.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("request", lambda request: asked.append(request.url))
        tab.goto(path.as_uri())
        if options.get("java_script_enabled", True):
            shows(tab, 0)
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == [] and all(url.startswith(("file:", "data:", "blob:")) for url in asked)


def shows(tab: Tab, index: int) -> None:
    """Waits for the picture."""
    expect(tab.locator(".player")).to_have_attribute("data-shown", str(index))


def until(condition: Callable[[], bool]) -> None:
    """Waits for what the browser does by itself."""
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def pixels(tab: Tab) -> list[np.ndarray]:
    """What the canvases hold, RGB."""
    found = tab.evaluate(PIXELS)
    data = [np.array(each["data"].split(), np.uint8).reshape(each["height"], each["width"], 4) for each in found]
    return [each[..., :3] for each in data]


def require_levels(tab: Tab, index: int) -> None:
    """Every panel shows the picture with this index, to the last pixel."""
    found = pixels(tab)
    assert len(found) == 5
    for panel, picture in enumerate(found):
        np.testing.assert_array_equal(picture, np.full((HEIGHT, WIDTH, 3), gray(panel if panel < 4 else 4, index)))


def test_the_slider_moves_all_panels_together(opened: Opener):
    tab = opened()
    require_levels(tab, 0)
    for index in (3, 1, 4):
        tab.get_by_label("time").fill(str(index))
        shows(tab, index)
        require_levels(tab, index)
        expect(tab.locator("#now")).to_have_text(f"{TIMES[index]:.3f} s")
        expect(tab.locator("#count")).to_have_text(f"picture {index + 1} of 5")
        expect(tab.locator('[data-metric="mse"]')).to_have_text([f"{0.1 * m + 0.01 * index:.3f}" for m in (1, 2, 3)])
        expect(tab.locator('[data-metric="psnr"]').first).to_have_text("-")
        expect(tab.get_by_label("time")).to_have_attribute("aria-valuetext", f"{TIMES[index]:.3f} s")
        expect(tab.get_by_role("img", name=f"truth, {TIMES[index]:.3f} s")).to_be_visible()


def test_it_plays_by_the_clock_and_starts_anew(opened: Opener):
    tab = opened()
    tab.evaluate(
        """() => {
          window.seen = [];
          const player = document.querySelector(".player");
          const level = (canvas) => canvas.getContext("2d").getImageData(3, 3, 1, 1).data[0];
          const note = () => seen.push([Number(player.dataset.shown), ...[...document.querySelectorAll("canvas")].map(level)]);
          new MutationObserver(note).observe(player, {attributes: true, attributeFilter: ["data-shown"]});
        }"""
    )
    tab.keyboard.press("Space")
    expect(tab.locator("#play")).to_have_text("Pause")
    until(lambda: len(tab.evaluate("seen")) >= 8)
    tab.keyboard.press("Space")
    expect(tab.locator("#play")).to_have_text("Play")
    seen = tab.evaluate("seen")
    order = [0] + [each[0] for each in seen]
    assert all(
        (after - before) % COUNT in (1, 2) for before, after in zip(order, order[1:], strict=False)
    )  # 2: a slow machine
    assert all(each[1:] == [gray(panel, each[0]) for panel in range(5)] for each in seen)
    tab.locator("#play").click()
    until(lambda: len(tab.evaluate("seen")) > len(seen))


def test_pictures_are_held_as_long_as_the_recording_says(browser: Browser, tmp_path: Path):
    """With a clock of our own: at a tenth of real time a tick of 16 ms is 1.6 ms of the recording."""
    write(tmp_path / "page.html", PAGE)
    tab = browser.new_page()
    tab.clock.install()
    tab.goto((tmp_path / "page.html").as_uri())
    for index in (1, 2, 3, 4, 0):  # decoded before it plays, so that it waits for none
        tab.keyboard.press("ArrowRight")
        shows(tab, index)
    tab.clock.pause_at(time.time() + 60)
    assert tab.locator("#speed").input_value() == "0.1"
    tab.keyboard.press("Space")
    shown = []
    for _ in range(56):
        tab.clock.run_for(16)
        shown.append(tab.evaluate("() => Number(document.querySelector('.player').dataset.shown)"))
    starts = [shown.index(index) for index in (1, 2, 3, 4)] + [shown.index(0, 30)]
    held = np.array([0.01, 0.01, 0.03, 0.015]) / 0.0016  # the last one for a mean interval
    np.testing.assert_allclose(np.diff(starts), held, atol=1.01)
    tab.close()


def test_keys_step_and_go_round(opened: Opener):
    tab = opened()
    for key, index in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowLeft", 1), ("End", 4), ("ArrowRight", 0)):
        tab.keyboard.press(key)
        shows(tab, index)
        require_levels(tab, index)
    tab.keyboard.press("ArrowLeft")
    shows(tab, 4)
    tab.keyboard.press("Home")
    shows(tab, 0)
    tab.get_by_label("time").focus()
    tab.keyboard.press("ArrowRight")
    shows(tab, 1)
    tab.get_by_label("one picture on").click()
    shows(tab, 2)
    tab.get_by_label("one picture back").click()
    shows(tab, 1)
    tab.keyboard.press("Control+ArrowRight")
    tab.keyboard.press("Shift+ArrowRight")
    require_levels(tab, 1)


def test_a_click_on_a_curve_seeks(opened: Opener):
    tab = opened()
    chart = tab.locator("svg.seek").first
    chart.scroll_into_view_if_needed()
    box = chart.bounding_box()
    assert box is not None
    for part, index in ((0.34, 2), (0.99, 4), (0.7, 3), (0.8, 4), (0.01, 0)):  # times at 0, 1/6, 1/3, 1/2, 1 of it
        chart.click(position={"x": part * box["width"], "y": 20})
        shows(tab, index)
        require_levels(tab, index)
        moved = re.findall(r"[\d.]+", chart.locator(".cursor").get_attribute("transform") or "")
        np.testing.assert_allclose(float(moved[0]), 1000 * (TIMES[index] - 2) / 0.06, atol=1e-6)


def test_differences_are_those_of_the_pictures(opened: Opener):
    rng = np.random.default_rng(1)
    truth, one = rng.integers(0, 256, (2, 2, HEIGHT, WIDTH), np.uint8)
    colour = rng.integers(0, 256, (2, HEIGHT, WIDTH, 3), np.uint8)
    page = PAGE._replace(times=TIMES[:2], truth=Clip("truth", truth), events=None)
    tab = opened(page._replace(methods=[method("one", one), method("colour", colour)]))

    def require_difference(index: int) -> None:
        shown = pixels(tab)
        np.testing.assert_array_equal(shown[0][..., 0], truth[index])
        for found, of in ((shown[1], one[index].astype(float)), (shown[2], colour[index] @ [0.299, 0.587, 0.114])):
            signed = np.clip(2 * (of - truth[index]) / 255, -1, 1)
            np.testing.assert_allclose(found, 255 * diverging(signed), atol=1)

    tab.keyboard.press("d")
    expect(tab.locator(".player.differs .scale")).to_be_visible()
    require_difference(0)
    tab.keyboard.press("ArrowRight")
    shows(tab, 1)
    require_difference(1)
    tab.get_by_label("difference from").select_option("one")
    until(lambda: bool((pixels(tab)[1][..., 0] == one[1]).all()))
    signed = np.clip(2 * (truth[1].astype(float) - one[1]) / 255, -1, 1)
    np.testing.assert_allclose(pixels(tab)[0], 255 * diverging(signed), atol=1)
    tab.get_by_label("difference from").select_option("nothing")
    until(lambda: bool((pixels(tab)[0][..., 0] == truth[1]).all()))
    np.testing.assert_array_equal(pixels(tab)[2], colour[1])
    expect(tab.locator(".scale")).to_be_hidden()


def test_a_click_magnifies_the_same_spot_of_all_panels(opened: Opener):
    tab = opened()
    view = tab.locator(".view").nth(2)
    box = view.bounding_box()
    assert box is not None
    styles = """() => [...document.querySelectorAll("canvas")].map((canvas) => {
      const {transform, transformOrigin} = getComputedStyle(canvas);
      return [transform, ...transformOrigin.split(" ").map(parseFloat)];
    })"""
    view.click(position={"x": box["width"] / 4, "y": box["height"] / 2})
    for transform, x, y in tab.evaluate(styles):
        assert transform == "matrix(4, 0, 0, 4, 0, 0)"
        assert abs(x - box["width"] / 4) < 1 and abs(y - box["height"] / 2) < 1
    tab.keyboard.press("Shift+ArrowRight")
    assert abs(tab.evaluate(styles)[0][1] - 0.27 * box["width"]) < 1
    tab.get_by_label("magnify").select_option("8 ×")
    assert tab.evaluate(styles)[4][0] == "matrix(8, 0, 0, 8, 0, 0)"
    view.click()
    assert {each[0] for each in tab.evaluate(styles)} == {"matrix(1, 0, 0, 1, 0, 0)"}


def test_pictures_that_are_let_go_come_back(opened: Opener):
    """More than are kept decoded: 256 MB are no more than 24 moments of so large a screen."""
    count = 40
    clips = [np.zeros((count, 640, 640), np.uint8) for _ in range(8)]
    for panel, clip in enumerate(clips):
        clip += (6 * np.arange(count) + panel).astype(np.uint8)[:, None, None]
    page = PAGE._replace(times=np.arange(count) / 100, truth=None, events=None)
    tab = opened(page._replace(methods=[method(f"{panel}", clip) for panel, clip in enumerate(clips)]))
    level = """() => [...document.querySelectorAll("canvas")].map((canvas) =>
      canvas.getContext("2d").getImageData(9, 9, 1, 1).data[0])"""
    for index in (20, 39, 0, 39):
        tab.get_by_label("time").fill(str(index))
        shows(tab, index)
        assert tab.evaluate(level) == [(6 * index + panel) % 256 for panel in range(8)]


@pytest.mark.parametrize("methods", [1, 9])
@pytest.mark.parametrize("count", [1, 2])
def test_pages_with_little_or_much_work(methods: int, count: int, opened: Opener):
    made = [method(f"m{index}", levels(index % 6, count)) for index in range(methods)]
    tab = opened(PAGE._replace(times=TIMES[:count], methods=made, truth=None, events=None))
    assert len(pixels(tab)) == methods
    tab.keyboard.press("ArrowRight")
    shows(tab, (count > 1) * 1)
    tab.keyboard.press("Space")
    expect(tab.locator("#play")).to_have_text("Pause" if count > 1 else "Play")
    expect(tab.locator("#play")).to_be_visible(visible=count > 1)


def test_it_fits_a_narrow_window_and_a_dark_one(opened: Opener):
    tab = opened(viewport={"width": 400, "height": 700}, color_scheme="dark")
    assert tab.evaluate("() => document.documentElement.scrollWidth") == 400
    back = tab.evaluate("() => getComputedStyle(document.body).backgroundColor")
    assert back == "rgb(15, 17, 21)"
    tab.locator(".panels").scroll_into_view_if_needed()
    expect(tab.get_by_label("time")).to_be_in_viewport()  # below the pictures, but sticky


def test_two_tabs_do_not_disturb_each_other(opened: Opener):
    one = opened()
    other = one.context.new_page()
    other.goto(one.url)
    shows(other, 0)
    other.keyboard.press("End")
    shows(other, 4)
    require_levels(one, 0)
    require_levels(other, 4)


def test_without_scripts_the_scores_and_the_first_pictures_are_there(opened: Opener):
    tab = opened(java_script_enabled=False)
    expect(tab.locator("noscript p")).to_be_visible()
    assert tab.locator(".panel img").count() == 5 and tab.locator("table tbody tr").count() == 3
    expect(tab.locator(".panel img").first).to_be_visible()
    expect(tab.locator("#play")).to_be_hidden()
    box = tab.locator(".panel img").first.bounding_box()
    assert box is not None and abs(box["width"] / box["height"] - WIDTH / HEIGHT) < 0.05
