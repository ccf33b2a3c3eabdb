"""The report of an evaluation: what it tells, that it asks nobody for anything, how it looks."""

from __future__ import annotations

import functools
import io
import re
import shutil
import subprocess
from html.parser import HTMLParser

import attrs
import numpy as np
import pytest
from PIL import Image
from support.compared import one_image, random_comparison

from ssdreg.drawing.report import Report, draw_worst, write_report
from ssdreg.drawing.report.page import to_html
from ssdreg.errors import DataError
from ssdreg.metrics.comparison import Comparison
from ssdreg.metrics.measures import measure
from ssdreg.metrics.text import number

OBJECT = (10, 10, 50, 50)
#: Elements that are never closed.
VOID = {"meta", "img", "br"}


def read_of(comparison):
    """Make images for a comparison: grey ramps of its sizes."""
    def read(index):
        boxes = comparison.images[index]
        ramp = np.linspace(60, 200, boxes.width).astype(np.uint8)
        return Image.fromarray(np.tile(ramp[None, :, None], (boxes.height, 1, 3)))
    return read


def report_of(comparison, title="runs/first"):
    measures = measure(comparison)
    return Report(title, "20 images of shapes", measures,
                  draw_worst(comparison, measures.confusion.threshold, read_of(comparison), 3),
                  (("backbone", "resnet18"), ("classes", ", ".join(comparison.classes))))


def many_classes():
    names = tuple(f"class {index}" for index in range(30))
    random = np.random.default_rng(0)
    images = []
    for seed in range(30):
        image, = random_comparison(seed, images=1).images
        for rows in (image.detections, image.truths):
            rows[:, 0] = (rows[:, 0] * 7 + random.integers(0, 3, len(rows))) % 30
        images.append(image)
    return Comparison(names, tuple(images))


class Page(HTMLParser):
    """Reads a page: its texts, its elements, and whether they are closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        self.close()
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
        self.texts.append(data)


CASES = {
    "random": functools.partial(random_comparison, 3),
    "many classes": many_classes,
    "one class": functools.partial(random_comparison, 5, classes=1),
    "no detections": functools.partial(one_image, [], [(0, *OBJECT)]),
    "no objects": functools.partial(one_image, [(0, 0.9, *OBJECT)], []),
    "nothing": functools.partial(Comparison, ("a",), ()),
    "no errors": functools.partial(one_image, [(0, 0.9, *OBJECT)], [(0, *OBJECT)]),
}


@pytest.mark.parametrize("case", CASES)
def test_a_page_is_whole_and_asks_nobody_for_anything(case):
    text = to_html(report_of(CASES[case]()))
    page = Page(text)
    assert not re.search(r"https?:|//|@import|url\(", re.sub(r"data:[^\"]*", "", text))
    assert not {"script", "link", "iframe"} & {tag for tag, _ in page.elements}
    for tag, attributes in page.elements:
        assert not any(name.startswith("on") for name in attributes)
        if tag == "img":
            assert attributes["src"].startswith("data:image/jpeg;base64,")
            assert attributes["alt"]
        if tag == "path":
            assert "nan" not in attributes["d"]
    assert [text for text in page.texts if text in (
        "Classes", "COCO", "Precision and recall", "Confusion", "Errors by kind",
        "Worst pictures", "Settings")] == ["Classes", "COCO", "Precision and recall", "Confusion",
                                           "Errors by kind", "Worst pictures", "Settings"]


def test_what_it_tells():
    report = report_of(random_comparison(3))
    texts = Page(to_html(report)).texts
    measures = report.measures
    for value in (measures.voc.map, measures.coco.figures.ap, measures.errors.ap,
                  measures.curves.pooled.best().f1,
                  *(each.ap for each in measures.voc.classes)):
        assert any(number(value) in text for text in texts)
    for row in measures.confusion.matrix.tolist():
        assert all(str(count) in texts for count in row[:-1])
    assert f"image {report.pictures[0].errors.number}" in texts
    assert "resnet18" in texts


def test_every_class_has_a_curve_and_the_best_points_are_marked():
    page = Page(to_html(report_of(random_comparison(3))))
    curves = [each for tag, each in page.elements
              if tag == "path" and each.get("class") in ("curve", "pooled")]
    # each once in the chart and once in the legend
    assert len(curves) == 2 * 5
    assert sum(tag == "circle" for tag, _ in page.elements) == 5


def test_names_are_no_markup():
    title = '<b onload="x">&'
    image, = one_image([(0, 0.9, *OBJECT)], [(0, 60, 60, 90, 90)]).images
    text = to_html(report_of(Comparison(("<i>", "a&b"), (image,)), title))
    page = Page(text)
    assert not {"b onload", "i>"} & {tag for tag, _ in page.elements}
    assert "<i>" in page.texts
    assert title in page.texts


def test_worst_pictures_are_small_and_drawn_on():
    image, = one_image([(1, 0.9, *OBJECT)], [(0, *OBJECT)]).images
    comparison = Comparison(("a", "b"), (attrs.evolve(image, width=1600, height=900),))
    first, = draw_worst(comparison, 0.5, read_of(comparison), 2)
    for jpeg in (first.truths, first.detections):
        with Image.open(io.BytesIO(jpeg)) as picture:
            assert (picture.format, picture.size) == ("JPEG", (640, 360))
            # boxes are in colour, the image is grey
            pixels = np.asarray(picture.convert("RGB"), int)
            assert (np.ptp(pixels, axis=2) > 60).sum() > 50


def test_it_is_written_whole_into_a_new_folder(tmp_path):
    out = tmp_path / "new" / "report.html"
    write_report(report_of(random_comparison(3)), out)
    assert out.read_text(encoding="utf-8").endswith("</body></html>\n")
    assert [file.name for file in out.parent.iterdir()] == ["report.html"]
    with pytest.raises(DataError, match=r"its name must end in \.html"):
        write_report(report_of(random_comparison(3)), tmp_path / "report.pdf")


@pytest.fixture
def chromium(tmp_path):
    """Return a function that opens an address and returns what chromium prints."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no chromium is on PATH to look at the page with")

    def look(*arguments):
        done = subprocess.run(
            [program, "--headless", "--no-sandbox", "--disable-gpu",
             "--allow-file-access-from-files", f"--user-data-dir={tmp_path / 'profile'}",
             *map(str, arguments)],
            capture_output=True, text=True, timeout=180, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout
    return look


#: Two pages in frames as wide as a phone and a desk; a script of this test measures them.
FRAMES = """<!DOCTYPE html><body><iframe src="report.html" width="390" height="800"></iframe>
<iframe src="report.html" width="1200" height="800"></iframe><script>
addEventListener("load", () => {
  document.title = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument, root = page.documentElement;
    const images = [...page.images].every(image => image.complete && image.naturalWidth > 0);
    return [root.clientWidth, root.scrollWidth, images, page.images.length].join(" ");
  }).join(";");
});</script>"""


@pytest.mark.parametrize("case", ["random", "many classes"])
def test_a_browser_shows_it_on_any_width(chromium, tmp_path, case):
    report = report_of(CASES[case]())
    write_report(report, tmp_path / "report.html")
    (tmp_path / "frames.html").write_text(FRAMES, encoding="utf-8")
    found = chromium("--dump-dom", "--virtual-time-budget=5000",
                     (tmp_path / "frames.html").as_uri())
    title = re.search(r"<title>(.*?)</title>", found)
    assert title, found[:500]
    for each in title.group(1).split(";"):
        width, needed, loaded, images = each.split()
        assert int(needed) <= int(width)
        assert loaded == "true"
        assert int(images) == 2 * len(report.pictures)


@pytest.mark.parametrize(("scheme", "light"), [(1, True), (0, False)])
def test_it_is_light_where_that_is_liked_and_dark_where_that_is(chromium, tmp_path, scheme, light):
    write_report(report_of(random_comparison(3)), tmp_path / "report.html")
    chromium(f"--screenshot={tmp_path / 'page.png'}", "--window-size=1000,1400",
             "--hide-scrollbars", f"--blink-settings=preferredColorScheme={scheme}",
             (tmp_path / "report.html").as_uri())
    with Image.open(tmp_path / "page.png") as page:
        pixels = np.asarray(page.convert("L"), int)
    assert (np.median(pixels) > 200) == light
    assert (np.median(pixels) < 60) == (not light)
    # letters stand out from what they are on
    assert pixels.max() - pixels.min() > 180
