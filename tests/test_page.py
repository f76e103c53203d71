"""The page without a browser: what it carries, what it says, and that it asks for nothing from outside."""

import base64
import json
import re
from collections.abc import Sequence
from hashlib import sha256
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from evinr.pages import line_charts, picture_data, player, score_table
from evinr.pages.comparison import Clip, Method, Page, document, write
from evinr.report import bytes_of, diverging
from evinr.scores import Mean

VOID = {"meta", "img", "input", "br", "link"}


class Parsed(HTMLParser):
    """Elements as (tag, attributes), texts of elements, and whether all that opens is closed."""

    def __init__(self, page: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.texts.append((self.open[-1], data))

    def text(self) -> str:
        return " ".join(text for tag, text in self.texts if tag not in ("script", "style"))


def textured(count: int, height: int = 30, width: int = 40, seed: int = 0, noise: float = 0.05) -> np.ndarray:
    """Texture that moves, with noise: hard to compress."""
    rng = np.random.default_rng(seed)
    texture = gaussian_filter(rng.standard_normal((height, width + count)), 1.0)
    views = np.stack([texture[:, index : index + width] for index in range(count)])
    return bytes_of(0.5 + 0.4 * views / np.abs(texture).max() + noise * rng.standard_normal(views.shape))


def method(title: str, pictures: np.ndarray, **scores: float) -> Method:
    count = len(pictures)
    frames = {name: value + 0.01 * np.sin(np.arange(count)) for name, value in scores.items()}
    means = {name: Mean(value, value - 0.01, value + 0.01) for name, value in scores.items()}
    return Method(Clip(title, pictures), means, frames, {}, [("seconds", "1.0")])


def small(count: int = 4, methods: int = 2, **changes) -> Page:
    """A page of small pictures."""
    made = [method(f"method {index}", textured(count, seed=index), mse=0.01 * (index + 1)) for index in range(methods)]
    page = Page("a page", [("protocol", "aligned")], np.arange(count) / 10, made, None, None)
    return page._replace(**changes)


def data_of(page: str) -> dict:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def decoded(pictures: Sequence[str]) -> np.ndarray:
    return np.stack([np.asarray(Image.open(BytesIO(base64.b64decode(each))).convert("RGB")) for each in pictures])


def test_the_page_is_whole_and_asks_for_nothing(tmp_path: Path):
    path = tmp_path / "page.html"
    write(path, small(truth=Clip("truth", textured(4)), events=Clip("events", textured(4))))
    page = path.read_text("utf-8")
    parsed = Parsed(page)
    assert [entry.name for entry in tmp_path.iterdir()] == ["page.html"]
    carried = re.sub(r'data:image/webp;base64,[^"]*|<script type="application/json".*?</script>', "", page)
    assert not re.search(r"https?:|url\(|@import|//\w+\.|import\(|fetch\(", carried)
    for tag, attributes in parsed.elements:
        assert tag not in ("link", "iframe", "object", "video", "base", "form")
        assert (attributes.get("src") or "data:image/webp;").startswith("data:image/webp;")
        assert not any(name == "href" or name.startswith("on") for name in attributes)
    assert all((dict(a).get("alt") for tag, a in parsed.elements if tag == "img"))


def test_only_the_script_of_the_page_may_run():
    page = document(small())
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digest = base64.b64encode(sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; script-src 'sha256-{digest}'" in page


def test_what_users_write_is_text():
    evil = "</script><script>alert('1')</script> & \"q\" <img src=x onerror=alert(1)> é漢"
    page = small(title=evil, facts=[(evil, evil)], truth=Clip(evil, textured(4)), events=Clip(evil, textured(4)))
    first = page.methods[0]
    losses = {evil: [1.0, 0.1]}
    page = page._replace(
        methods=[first._replace(clip=first.clip._replace(title=evil), facts=[(evil, evil)], losses=losses)]
    )
    written = document(page)
    parsed = Parsed(written)
    assert [tag for tag, _ in parsed.elements].count("script") == 2
    assert not any(attributes.get("src") == "x" for _, attributes in parsed.elements)
    assert parsed.text().count("alert('1')") >= 8 and "é漢" in written
    assert data_of(written)["panels"][1]["title"] == evil


def test_names_that_are_no_unicode_are_written_too(tmp_path: Path):
    write(tmp_path / "page.html", small(title="bad \udcff name"))
    assert "bad ? name" in (tmp_path / "page.html").read_text("utf-8")


def test_pictures_come_back_exactly_and_in_order():
    colour = np.stack([textured(4, seed=seed) for seed in range(3)], -1)
    rows = method("colour", colour, mse=0.1)
    events = np.stack([bytes_of(diverging(np.sign(each / 255 - 0.5) * (each > 200))) for each in textured(4, seed=7)])
    page = small(events=Clip("events", events), truth=Clip("truth", textured(4, seed=9)))
    data = data_of(document(page._replace(methods=[*page.methods, rows])))
    assert [panel["title"] for panel in data["panels"]] == ["truth", "method 0", "method 1", "colour", "events"]
    given = [textured(4, seed=9), textured(4, seed=0), textured(4, seed=1), colour, events]
    for panel, pictures in zip(data["panels"], given, strict=True):
        gray = pictures[..., None] if pictures.ndim == 3 else pictures
        np.testing.assert_array_equal(decoded(panel["pictures"]), np.broadcast_to(gray, (*pictures.shape[:3], 3)))
    assert data["times"] == [0.0, 0.1, 0.2, 0.3] and data["stamps"] == ["0.000 s", "0.100 s", "0.200 s", "0.300 s"]


def test_pictures_that_take_too_much_are_compressed_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch):
    clip = textured(12, 90, 120)
    still = np.full((12, 90, 120, 3), 255, np.uint8)
    still[:, 20:40, 30:50] = (255, 38, 0)
    exact = picture_data.encoded([clip])
    size = sum(len(each) for each in exact.clips[0]) * 3 / 4
    monkeypatch.setattr(picture_data, "BUDGET", int(0.6 * size))
    lossy = picture_data.encoded([clip, still])
    assert lossy.plan in picture_data.PLANS[1:-1]
    assert sum(len(each) for each in lossy.clips[0]) * 3 / 4 < 0.65 * size
    error = decoded(lossy.clips[0])[..., 0].astype(float) - clip
    assert 0.1 < np.sqrt(np.square(error).mean()) < 6
    np.testing.assert_array_equal(decoded(lossy.clips[1]), still)  # exact is smaller, so it stays so
    written = document(small(12, methods=1, truth=Clip("truth", clip)))
    assert f"compressed (WebP, quality {lossy.plan.quality})" in written


def test_wide_pictures_are_shrunk_and_the_page_says_so():
    wide = np.repeat(np.repeat(textured(1, 90, 160), 8, 1), 8, 2)
    shrunk = picture_data.shrunk(wide[0], 640)
    np.testing.assert_array_equal(shrunk, wide[0][::2, ::2])  # means of equal pixels
    page = document(Page("wide", [], np.zeros(1), [method("wide", wide, mse=0.1)], None, None))
    assert "shrunk to 640 pixels at most" in page and 'width="640" height="360"' in page
    assert "shrunk" not in document(small())


def test_pictures_that_take_far_too_much_are_small(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(picture_data, "BUDGET", 1000)
    found = picture_data.encoded([textured(2, 480, 640)])
    assert found.plan == picture_data.PLANS[-1] and found.sizes == [(320, 240)] and found.shrunk


def test_a_page_of_four_methods_and_fifty_pictures_is_under_twenty_megabytes(tmp_path: Path):
    methods = [method(f"{seed}", textured(50, 180, 240, seed, noise=0.15), mse=0.1, ssim=0.5) for seed in range(4)]
    truth = Clip("truth", textured(50, 180, 240, 8, noise=0.15))
    signs = np.random.default_rng(1).choice([-1.0, 0, 0, 0, 1], (50, 180, 240))
    page = Page("large", [], np.arange(50) / 50, methods, truth, Clip("events", bytes_of(diverging(signs))))
    write(tmp_path / "page.html", page)
    assert 5e6 < (tmp_path / "page.html").stat().st_size < 20e6


def test_the_table_tells_the_best_and_what_is_absent():
    means = [
        {"mse": Mean(0.02, 0.01, 0.03), "ssim": Mean(0.5, None, None), "lpips": Mean(None, None, None)},
        {"mse": Mean(0.01, 0.009, 0.011), "ssim": Mean(0.75, 0.7, 0.8), "lpips": Mean(None, None, None)},
        {"mse": Mean(0.3, 0.2, 0.4), "psnr": Mean(float("nan"), None, None)},
    ]
    table = score_table.table(["a", "b", "c"], means)
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in table.split("<tr>")[2:]]
    heads = re.findall(r'<th scope="col"><abbr title="([^"]*)">(.*?) <span aria-hidden="true">(.)', table)
    assert [head[1:] for head in heads] == [("MSE", "↓"), ("PSNR", "↑"), ("SSIM", "↑"), ("LPIPS", "↓")]
    assert heads[0][0] == "mean squared error of pictures in [0, 1]; lower is better"
    absent = f'<abbr title="{score_table.ABSENT}">-</abbr>'
    assert rows[0] == ["0.020<small>0.010 to 0.030</small>", absent, "0.500", absent]
    assert rows[1] == [
        "<b>0.010</b><small>0.009 to 0.011</small>",
        absent,
        "<b>0.750</b><small>0.700 to 0.800</small>",
        absent,
    ]
    assert rows[2] == ["0.300<small>0.200 to 0.400</small>", absent, absent, absent]


def test_equal_numbers_are_equally_good_and_one_alone_is_not_the_best():
    shown = score_table.table(["a", "b"], [{"mse": Mean(0.1, None, None)}, {"mse": Mean(0.1, None, None)}])
    assert shown.count("<b>0.100</b>") == 2
    assert "<b>" not in score_table.table(["a"], [{"mse": Mean(0.1, None, None)}])
    sharp = [{"sharpness": Mean(value, None, None)} for value in (0.1, 0.2)]
    assert "<b>" not in score_table.table(["a", "b"], sharp)  # near the frames' own is best
    assert "There are no scores" in score_table.table(["a"], [{}])


def test_numbers_show_three_figures_of_the_largest_and_two_of_the_smallest():
    assert score_table.decimals([0.0638, 0.0019, None, float("nan")]) == 4
    assert score_table.decimals([18.2, 22.0]) == 2 and score_table.decimals([0.6, 0.5]) == 3
    assert score_table.decimals([1e-30, 1.0]) == 6 and score_table.decimals([0.0, None, float("inf")]) == 2
    assert [score_table.number(value, 3) for value in (None, float("nan"), 0.12345, float("inf"))] == [
        "-",
        "-",
        "0.123",
        "∞",
    ]


def test_scores_of_each_picture_are_carried_and_those_absent_are_marked():
    page = small(3, methods=1)
    frames = {"mse": np.array([0.1, np.nan, 0.3]), "psnr": np.array([np.nan, np.inf, 20.0])}
    written = document(page._replace(methods=[page.methods[0]._replace(frames=frames)]))
    values = data_of(written)["panels"][0]["values"]
    assert values == {"mse": ["0.100", "-", "0.300"], "psnr": ["-", "∞", "20.00"]}
    assert 'MSE <b data-metric="mse">0.100</b>' in written and 'PSNR <b data-metric="psnr">-</b>' in written


def drawn(chart: str, log: bool = False) -> list[list[tuple[float, float]]]:
    """The points of each curve of a chart: along, in parts of the width, and the value, by what is written beside."""
    marks = [
        (float(top), np.log10(float(text)) if log else float(text))
        for top, text in re.findall(r'top:([\d.]+)%">([^<]+)<', chart)
    ]
    slope, offset = np.polyfit(*np.array(marks).T, deg=1)
    paths = re.findall(r'<path class="curve [^"]*" d="([^"]*)"><title>', chart)
    points = [re.findall(r"[ML](-?[\d.]+) (-?[\d.]+)", path) for path in paths]
    return [[(float(x) / 1000, slope * float(y) / 4 + offset) for x, y in each] for each in points]


def test_curves_go_through_the_scores_at_their_times():
    times = np.array([1.0, 1.1, 1.4, 2.0])
    lines = [
        line_charts.Line("a", np.array([0.2, 0.5, 0.1, 0.4]), "m0"),
        line_charts.Line("b", np.array([np.nan, 0.3, np.nan, 0.6]), "m1"),
    ]
    chart = line_charts.scores("MSE", times, lines, ("1 s", "2 s"))
    first, second = drawn(chart)
    np.testing.assert_allclose(first, [(0, 0.2), (0.1, 0.5), (0.4, 0.1), (1, 0.4)], atol=1e-3)
    np.testing.assert_allclose(second, [(0.1, 0.3), (1, 0.6)], atol=1e-3)
    assert re.search(r'd="M100.0 [\d.]+h0M1000.0 [\d.]+h0"', chart)  # alone, so dots
    assert re.search(r'd="M0.0 [\d.]+L100.0 ', chart) and "<span>1 s</span><span>2 s</span>" in chart


@pytest.mark.parametrize("values", [[0.5, 0.5], [0.0, 0.0], [-3.0, -3.0], [1e-9, 2e-9], [1e6, 5e6], [np.inf, 0.1]])
def test_any_scores_have_a_chart(values: list[float]):
    chart = line_charts.scores("x", np.array([0.0, 1.0]), [line_charts.Line("a", np.array(values), "m0")], ("", ""))
    known = [value for value in values if np.isfinite(value)]
    span = max(np.ptp(known), abs(known[0]), 1e-12)
    np.testing.assert_allclose([y for _, y in drawn(chart)[0]], known, atol=3e-3 * span)
    assert 3 <= len(re.findall("top:", chart)) <= 9 and "nan" not in chart


def test_a_score_that_no_picture_has_is_said():
    chart = line_charts.scores("x", np.zeros(1), [line_charts.Line("a", np.array([np.nan]), "m0")], ("", ""))
    assert "No picture has this score" in chart and "<svg" not in chart


def test_losses_are_logarithmic_and_zeros_do_not_flatten_them():
    terms = {"total": [10.0, 1.0, 0.1], "still": [0.0, 0.01, 0.001], "lost": [1.0, float("nan"), 1.0]}
    chart = line_charts.losses("a", terms, "m0")
    total, still, lost = drawn(chart, log=True)
    np.testing.assert_allclose(total, [(0, 1), (0.5, 0), (1, -1)], atol=0.01)
    np.testing.assert_allclose(still, [(0, -3), (0.5, -2), (1, -3)], atol=0.01)
    assert [x for x, _ in lost] == [0, 1]
    assert 'class="curve m0 total"' in chart and "<span>step 1</span><span>3</span>" in chart
    (deep,) = drawn(line_charts.losses("a", {"total": [1.0, 1e-30]}, "m0"), log=True)
    np.testing.assert_allclose(deep[1], (1, -line_charts.DECADES), atol=0.02)
    assert "No term is above zero" in line_charts.losses("a", {"total": [0.0, float("nan")]}, "m0")


def test_long_losses_are_thinned_to_their_ends():
    (line,) = drawn(line_charts.losses("a", {"total": np.geomspace(1, 1e-3, 10_001).tolist()}, "m0"), log=True)
    assert len(line) == line_charts.POINTS
    np.testing.assert_allclose([line[0], line[-1]], [(0, 0), (1, -3)], atol=0.01)


def test_speeds_are_parts_of_real_time():
    speeds = player._speeds(np.arange(50) / 100)
    assert re.findall(r'value="([\d.]+)"', speeds) == ["0.02", "0.05", "0.1", "0.2", "0.5"]
    assert '<option value="0.1" selected>1/10 (10 pictures/s)' in speeds
    assert re.findall(r"<option[^>]*>(\d+) \(", player._speeds(np.arange(5) * 2.0)) == [
        "5",
        "10",
        "20",
        "50",
        "100",
    ]


def test_times_are_told_apart():
    assert player.stamps(np.array([0.0, 0.5])) == ["0.000 s", "0.500 s"]
    assert player.stamps(np.array([1.0, 1.0002])) == ["1.00000 s", "1.00020 s"]


def test_methods_that_fit_nothing_have_no_loss_curves():
    page = small()
    assert "<h2>Loss</h2>" not in document(page)
    fitted = page.methods[0]._replace(losses={"total": [1.0, 0.5]})
    assert document(page._replace(methods=[fitted, page.methods[1]])).count('class="curve m0 total" d="M0.0') == 1


def test_what_there_is_to_compare_is_offered():
    assert 'id="reference"' not in document(small(methods=1, events=Clip("events", textured(4))))
    offered = re.findall(r'<option value="(\d)">([^(]*?)</option>', document(small(truth=Clip("truth", textured(4)))))
    assert offered[:3] == [("0", "truth"), ("1", "method 0"), ("2", "method 1")]


def test_nothing_is_left_of_a_page_that_fails(tmp_path: Path):
    broken = small(methods=1)
    with pytest.raises(ValueError, match="not in list"):
        write(
            tmp_path / "page.html",
            broken._replace(methods=[broken.methods[0]._replace(means={"wrong": Mean(1, 1, 1)})]),
        )
    assert list(tmp_path.iterdir()) == []
