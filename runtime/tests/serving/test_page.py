"""The page at `/`, used in headless Chromium: pictures, filters, camera, videos, failures."""

from __future__ import annotations

import csv
import io
import json
import shutil
import subprocess
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image
from runtime_support.servers import (
    BLACK,
    COLORS,
    GREEN,
    PATIENCE,
    RED,
    SIZE,
    encoded,
    serving,
)
from runtime_support.tiny_model import CLASSES, tiny_model

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
                None)

pytestmark = [
    pytest.mark.skipif(find_spec("playwright") is None, reason="Playwright is not installed"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path"),
]

#: Of what a browser starts by itself, what would reach for other hosts is off.
SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--disable-component-update", "--disable-sync", "--no-first-run",
            "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream")


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=SWITCHES,
                                             timeout=PATIENCE * 1000)
        yield started
        started.close()


@contextmanager
def new_context(browser, **options):
    """A context that waits as long as a machine with other things to do may take."""
    made = browser.new_context(**options)
    made.set_default_timeout(PATIENCE * 1000)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def context(browser):
    with new_context(browser, accept_downloads=True, permissions=["camera"]) as made:
        yield made


@pytest.fixture
def page(context, server):
    """The page of the shared server."""
    with opened(context, server) as made:
        yield made


@contextmanager
def opened(context, server):
    """Open the page of a server in a new tab; nothing must have gone wrong there until the end."""
    page, wrong = context.new_page(), []

    def requested(request):
        if not request.url.startswith((server.url, "blob:", "data:")):
            wrong.append(f"asked {request.url}")
    page.on("request", requested)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(server.url)
    yield page
    assert wrong == []


def file(name, content, kind="image/jpeg"):
    return {"name": name, "mimeType": kind, "buffer": content}


def give(page, *files):
    page.set_input_files("#files", list(files))


def wait_until_done(page, count=1):
    page.wait_for_function("count => document.querySelectorAll('#strip button.done').length"
                           " === count", arg=count)


def rows(page):
    """The objects in the table: class and box."""
    return page.eval_on_selector_all("#objects tbody tr", """rows => rows.map(
        row => [row.cells[0].textContent, row.cells[2].textContent])""")


def pixel(page, x, y):
    """A pixel of the stage, at shares of its width and height."""
    return page.eval_on_selector("#canvas", """(canvas, [x, y]) => [...canvas.getContext('2d')
        .getImageData(x * canvas.width, y * canvas.height, 1, 1).data].slice(0, 3)""", [x, y])


def slide(page, value):
    page.eval_on_selector("#threshold", """(slider, value) => {
        slider.value = value; slider.dispatchEvent(new Event('input')); }""", value)


def asked(page):
    """The requests for detection from now on."""
    requests = []
    page.on("request", lambda request: "/detect" in request.url and requests.append(request.url))
    return requests


def test_a_picture_is_detected_and_drawn(page):
    give(page, file("quarters.jpg", encoded()))
    wait_until_done(page)
    assert page.inner_text("#status") == "quarters.jpg: 1 blue, 1 red"
    assert rows(page) == [["blue", "0, 24, 32, 48"], ["red", "0, 0, 32, 24"]]
    # the colours of the classes are those of drawn pictures
    assert page.evaluate("fetch('models').then(answer => answer.json())")["models"][0]["colors"] \
        == ["#e69f00", "#56b4e9", "#009e73"]
    assert np.abs(np.subtract(pixel(page, 0.3, 0.3), RED)).max() < 12
    assert pixel(page, 0.003, 0.3) == [0xe6, 0x9f, 0x00]


def test_the_slider_and_the_classes_filter_without_asking(page):
    give(page, file("quarters.jpg", encoded()))
    wait_until_done(page)
    requests = asked(page)
    slide(page, "0.2")
    assert [name for name, _ in rows(page)] == ["blue", "red", "green"]
    slide(page, "0.9")
    assert [name for name, _ in rows(page)] == ["blue"]
    page.keyboard.press("-")
    assert page.inner_text("#threshold-value") == "0.85"
    slide(page, "0.1")
    page.uncheck("[data-class=red] input")
    assert [name for name, _ in rows(page)] == ["blue", "green"]
    # the count beside a class that is hidden stays
    assert page.inner_text("[data-class=red] .count") == "1"
    page.uncheck("#classes label:has-text('all') input")
    assert rows(page) == []
    assert requests == []


def test_pictures_form_a_strip(page):
    give(page, file("one.png", encoded("PNG"), "image/png"), file("two.jpg", encoded()),
         file("black.jpg", encoded(colors=(BLACK,) * 4)))
    wait_until_done(page, 3)
    assert page.get_attribute("#canvas", "aria-label") == "one.png: 1 blue, 1 red"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#canvas", "aria-label") == "black.jpg: nothing found"
    page.keyboard.press("Delete")
    assert page.get_attribute("#canvas", "aria-label") == "two.jpg: 1 blue, 1 red"
    assert page.locator("#strip button").count() == 2


def test_a_file_that_cannot_be_read_costs_itself_only(page):
    give(page, file("notes.jpg", b"no picture"), file("good.jpg", encoded()))
    wait_until_done(page, 1)
    page.wait_for_selector("#strip button.failed")
    assert "no picture" not in page.inner_text("#failure")
    assert page.inner_text("#failure") == page.evaluate("""fetch('models/tiny/detect', {
        method: 'POST', body: 'no picture', headers: {'Content-Type': 'image/jpeg'}})
        .then(answer => answer.json()).then(answer => answer.error)""")


def test_what_the_browser_cannot_show_is_shown(page):
    give(page, file("scan.tiff", encoded("TIFF"), "image/tiff"))
    wait_until_done(page)
    assert rows(page) == [["blue", "0, 24, 32, 48"], ["red", "0, 0, 32, 24"]]
    assert np.abs(np.subtract(pixel(page, 0.3, 0.3), RED)).max() < 12


def test_a_turned_photo_has_its_boxes_where_they_are_seen(page):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    give(page, file("turned.jpg", encoded(exif=exif)))
    wait_until_done(page)
    # red is at the top right then, and blue at the top left
    assert rows(page) == [["blue", "0, 0, 24, 32"], ["red", "24, 0, 48, 32"]]
    assert np.abs(np.subtract(pixel(page, 0.7, 0.3), RED)).max() < 12


def downloaded(page, form):
    with page.expect_download() as download:
        page.click(f"[data-download={form}]")
    return download.value.suggested_filename, Path(download.value.path()).read_bytes()


def test_downloads(page):
    give(page, file("a, b.jpg", encoded()), file("second.jpg", encoded(colors=(GREEN,) * 4)))
    wait_until_done(page, 2)
    name, content = downloaded(page, "json")
    answer = json.loads(content)
    assert (name, answer["model"]) == ("detections.json", "tiny")
    assert [(image["image"], image["width"], image["height"]) for image in answer["images"]] == [
        ("a, b.jpg", *SIZE), ("second.jpg", *SIZE)]
    assert [found["class"] for found in answer["images"][0]["objects"]] == ["blue", "red"]
    slide(page, "0.9")
    name, content = downloaded(page, "csv")
    table = list(csv.reader(io.StringIO(content.decode())))
    assert (name, table[0]) == ("detections.csv",
                                ["image", "class", "score", "left", "top", "right", "bottom"])
    assert [(row[0], row[1]) for row in table[1:]] == [("a, b.jpg", "blue")]
    assert [round(float(value)) for value in table[1][3:]] == [0, 24, 32, 48]
    name, content = downloaded(page, "png")
    with Image.open(io.BytesIO(content)) as picture:
        assert (name, picture.size) == ("a, b-detected.png", SIZE)
        assert picture.convert("RGB").getpixel((0, 40)) == (0, 0x9e, 0x73)


def test_a_picture_is_pasted_and_dropped(page):
    for kind in ("paste", "drop"):
        page.evaluate("""async ([kind, bytes]) => {
            const files = new DataTransfer();
            files.items.add(new File([new Uint8Array(bytes)], `${kind}.jpg`, {type: 'image/jpeg'}));
            document.dispatchEvent(kind === 'paste'
                ? new ClipboardEvent('paste', {clipboardData: files})
                : new DragEvent('drop', {dataTransfer: files}));
        }""", [kind, list(encoded())])
    wait_until_done(page, 2)
    assert page.eval_on_selector_all("#strip button", "all => all.map(each => each.title)") == [
        "paste.jpg", "drop.jpg"]


def test_the_camera_is_live_and_takes_pictures(page):
    page.wait_for_selector("#model option", state="attached")
    page.keyboard.press("c")
    # the fake camera shows a green ground
    page.wait_for_selector("#canvas[aria-label^='camera:']")
    page.keyboard.press("Space")
    wait_until_done(page)
    assert page.locator("#strip button").get_attribute("title").startswith("camera ")
    # the camera is given back
    assert page.evaluate("document.getElementById('video').srcObject") is None
    assert page.is_hidden("#live")


def test_a_camera_that_is_refused_is_said(browser, server):
    with new_context(browser) as context, opened(context, server) as page:
        page.wait_for_selector("#model option", state="attached")
        page.evaluate("""() => { navigator.mediaDevices.getUserMedia = async () => {
            throw new DOMException('denied', 'NotAllowedError'); }; }""")
        page.keyboard.press("c")
        page.wait_for_function(
            "() => document.getElementById('status').textContent.includes('allow')")
        assert page.is_visible("#empty")


@pytest.fixture(scope="module")
def video_file(tmp_path_factory):
    """Ten frames, a tenth of a second each, red and green in turn."""
    av = pytest.importorskip("av", reason="PyAV, which writes videos, is not installed")
    path = tmp_path_factory.mktemp("video") / "lights.webm"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            picture = np.full((48, 64, 3), GREEN if number % 2 else RED, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def test_a_video_is_detected_frame_by_frame(page, video_file):
    page.set_input_files("#files", str(video_file))
    page.wait_for_selector("#canvas[aria-label='lights.webm 0.00 s: 4 red']")
    slide(page, "0.1")
    page.keyboard.press(".")
    page.wait_for_selector("#canvas[aria-label='lights.webm 0.10 s: 4 green']")
    page.click("#frame-all")
    page.wait_for_function("""() =>
        document.getElementById('frame-all').textContent === 'All frames' &&
        document.getElementById('status').textContent.startsWith('10 frames')""")
    _, content = downloaded(page, "json")
    found = [image["objects"][0]["class"] for image in json.loads(content)["images"]]
    assert found == ["red", "green"] * 5


def test_a_video_that_cannot_be_played_is_said(page):
    give(page, file("film.mp4", b"no film", "video/mp4"))
    page.wait_for_function("() => document.getElementById('status').textContent"
                           " === 'film.mp4 cannot be played by this browser: detect in it with "
                           "ssdreg-detect.'")


def test_a_server_that_goes_away_and_returns(context, models_folder):
    with serving(models_folder) as server, opened(context, server) as page:
        give(page, file("before.jpg", encoded()))
        wait_until_done(page)
        server.stop()
        give(page, file("while.jpg", encoded()), file("later.jpg", encoded()))
        page.wait_for_selector("#away:visible")
        assert page.inner_text("#away").startswith("The server does not answer.")
        with serving(models_folder, "--port", str(server.port)):
            wait_until_done(page, 3)
            assert page.is_hidden("#away")


def test_a_token_is_asked_for(context, models_folder):
    with serving(models_folder, environ={"SSDREG_SERVE_TOKEN": "right"}.items()) as server, \
            opened(context, server) as page:
        page.wait_for_selector("#token-form:visible")
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#token-form:visible")
        page.fill("#token", "right")
        page.keyboard.press("Enter")
        page.wait_for_selector("#model option", state="attached")
        give(page, file("quarters.jpg", encoded()))
        wait_until_done(page)


def test_another_model_detects_anew(page):
    give(page, file("quarters.jpg", encoded()))
    wait_until_done(page)
    requests = asked(page)
    page.select_option("#model", "other")
    page.wait_for_function("() => !document.querySelector('#strip button.waiting, "
                           "#strip button.asked')")
    wait_until_done(page)
    assert [url.split("/models/")[1].split("/")[0] for url in requests] == ["other"]
    assert page.eval_on_selector_all("#classes [data-class]", """labels => labels.map(
        label => label.dataset.class)""") == list(CLASSES)


@pytest.fixture(scope="module")
def browser_runtime(tmp_path_factory):
    """onnxruntime-web's files, as npm brings them."""
    folder = tmp_path_factory.mktemp("web")
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    done = subprocess.run(
        ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent",
         "--fetch-retries=0", "--fetch-timeout=60000", "onnxruntime-web"], cwd=folder,
        capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        pytest.skip(f"npm cannot fetch onnxruntime-web: {done.stderr.strip()[-200:]}")
    return folder / "node_modules" / "onnxruntime-web" / "dist"


def test_it_detects_in_the_browser_and_no_picture_leaves_it(context, models_folder,
                                                            browser_runtime):
    writer = pytest.importorskip("ssdreg.exporting.image_input", reason="ssdreg, which gives a "
                                 "model the input of a picture, is not installed")
    onnx.save(writer.with_image_input(tiny_model()), str(models_folder / "local.onnx"))
    with serving(models_folder, "--browser-runtime", str(browser_runtime),
                 models=("local.onnx", "tiny.onnx")) as server, opened(context, server) as page:
        give(page, file("quarters.png", encoded("PNG"), "image/png"))
        wait_until_done(page)
        by_server = json.loads(downloaded(page, "json")[1])["images"]
        requests = asked(page)
        page.check("#local")
        page.wait_for_function("() => document.getElementById('status').textContent.startsWith("
                               "'quarters.png')")
        wait_until_done(page)
        here = json.loads(downloaded(page, "json")[1])["images"]
        give(page, file("second.png", encoded("PNG", colors=(GREEN,) * 4), "image/png"))
        wait_until_done(page, 2)
        assert requests == []
        (expected,), (found,) = by_server, here
        assert [each["class"] for each in found["objects"]] == ["blue", "red"]
        for one, other in zip(expected["objects"], found["objects"]):
            assert one["score"] == pytest.approx(other["score"], abs=1e-4)
            assert one["box"] == pytest.approx(other["box"], abs=1e-2)
        # the other model cannot, and the server detects again
        page.select_option("#model", "tiny")
        assert page.is_hidden("#local-label")
        wait_until_done(page, 2)
        assert len(requests) == 2


def test_a_folder_without_the_runtime_is_refused(capsys, models_folder, tmp_path):
    from ssdreg_runtime.cli.serve import main
    assert main([str(models_folder / "tiny.onnx"), "--browser-runtime", str(tmp_path)]) == 2
    assert "has no ort.wasm.min.mjs: run `npm install" in capsys.readouterr().err


def test_dark_light_and_a_phone(browser, server):
    grounds = []
    for scheme in ("light", "dark"):
        with new_context(browser, color_scheme=scheme, viewport={"width": 360, "height": 740}
                         ) as context, opened(context, server) as page:
            give(page, file("quarters.jpg", encoded(size=(640, 480))))
            wait_until_done(page)
            # nothing is wider than the screen
            assert page.evaluate("document.documentElement.scrollWidth") <= 360
            grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
            page.click("#theme")
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") != grounds[-1]
            page.reload()
            # what was chosen is kept
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") != grounds[-1]
    assert grounds[0] != grounds[1]


def test_every_colour_is_one_of_the_class_it_is_listed_with(page):
    give(page, file("quarters.jpg", encoded(colors=COLORS)))
    wait_until_done(page)
    assert page.eval_on_selector_all("#classes .swatch", """all => all.map(
        each => getComputedStyle(each).backgroundColor)""") == [
        "rgb(230, 159, 0)", "rgb(86, 180, 233)", "rgb(0, 158, 115)"]
