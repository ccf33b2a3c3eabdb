"""The API: what is asked and answered, with the words of the command line."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image
from runtime_support.servers import BLACK, RED, SIZE, encoded
from runtime_support.tiny_model import CLASSES
from ssdreg_runtime import Detector
from ssdreg_runtime.cli.main import main as detect_command
from ssdreg_runtime.draw.look import Look
from ssdreg_runtime.draw.paint import draw_boxes


def image_of(answer):
    return np.asarray(Image.open(io.BytesIO(answer.body)).convert("RGB")).astype(int)


def test_models_are_listed_the_default_first(server):
    first, second = server.get("/models").json["models"]
    assert (first["name"], first["default"], first["batch"]) == ("tiny", True, 8)
    assert (second["name"], second["default"], second["batch"]) == ("other", False, 1)
    assert (first["classes"], first["height"], first["width"]) == (list(CLASSES), 8, 12)
    assert server.get("/models/other").json == second


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP"])
def test_a_picture_of_each_format_is_a_body(server, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    answer = server.detect(encoded(kind, **options), kind=f"image/{kind.lower()}")
    assert answer.status == 200
    [image] = answer.json["images"]
    assert [found["class"] for found in image["objects"]] == ["blue", "red"]


def test_objects_are_those_of_the_command_line(server, tmp_path, capsys, models_folder):
    for name, kind in (("a.jpg", "JPEG"), ("b.png", "PNG")):
        (tmp_path / name).write_bytes(encoded(kind))
    files = [tmp_path / "a.jpg", tmp_path / "b.png"]
    assert detect_command([str(models_folder / "tiny.onnx"), *map(str, files), "--json",
                           "--threshold", "0.3", "--threads", "1"]) == 0
    printed = json.loads(capsys.readouterr().out)
    answer = server.send_form("/models/tiny/detect?threshold=0.3",
                              [(file.name, file.read_bytes()) for file in files])
    assert answer.json == {"model": "tiny", "images": [
        {**image, "image": file.name} for image, file in zip(printed, files)]}
    assert [found["class"] for found in printed[0]["objects"]] == ["blue", "red", "green"]


def test_a_bad_picture_of_several_costs_its_own_result_only(server):
    answer = server.send_form("/models/other/detect", [
        ("good.png", encoded("PNG")), ("notes.txt", b"no picture"),
        ("cut.png", encoded("PNG")[:60]), ("also.jpg", encoded())])
    assert answer.status == 200
    good, foreign, cut, also = answer.json["images"]
    assert (len(good["objects"]), len(also["objects"])) == (2, 2)
    assert "error" not in good
    assert foreign == {
        "image": "notes.txt", "width": 0, "height": 0, "objects": [],
        "error": "notes.txt cannot be read as an image: its format is not known; send one of "
                 "JPEG, PNG, BMP, GIF, TIFF, WEBP"}
    assert cut["error"].startswith("cut.png cannot be read as an image")


@pytest.mark.parametrize(("form", "kind"), [("png", "image/png"), ("jpeg", "image/jpeg")])
def test_a_picture_is_drawn_into(server, form, kind, models_folder):
    content = encoded("PNG")
    asked = server.detect(content, f"?format={form}&threshold=0.3&hide_scores=true")
    accepted = server.detect(content, "?threshold=0.3&hide_scores=true",
                             Accept=f"text/html, {kind};q=0.9, */*;q=0.1")
    assert asked.headers["content-type"] == accepted.headers["content-type"] == kind
    assert asked.body == accepted.body
    image = Image.open(io.BytesIO(content))
    found = Detector(models_folder / "tiny.onnx", threads=1).detect([image])[0]
    drawn = draw_boxes(image, found.rows, found.classes, 0.3, Look(hide_scores=True))
    difference = np.abs(image_of(asked) - np.asarray(drawn).astype(int))
    # JPEG blurs the edges of boxes and letters
    assert difference.mean() <= (0 if form == "png" else 3)


def test_a_picture_lies_as_its_camera_noted(server):
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    [image] = server.detect(encoded(exif=exif.tobytes())).json["images"]
    assert (image["width"], image["height"]) == SIZE[::-1]


@pytest.mark.parametrize(("path", "content", "kind", "status", "error"), [
    ("/models/none/detect", b"", "image/png", 404,
     "there is no model of that name: choose one of tiny, other"),
    ("/models/tiny/detect", b"", "image/png", 400, "the picture is empty: send a picture"),
    ("/models/tiny/detect", b"GIF89a", "image/gif", 415, "the picture cannot be read as an image"),
    ("/models/tiny/detect", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "image/png", 415,
     "the picture cannot be read as an image: its format is not known"),
    ("/models/tiny/detect", b"a=b", "application/x-www-form-urlencoded", 415,
     "a body of the type application/x-www-form-urlencoded is not taken: send a picture with"),
    ("/models/tiny/detect?threshold=2", b"", "image/png", 400,
     "the parameter threshold cannot be used: Input should be less than or equal to 1"),
    ("/models/tiny/detect?threshold=nan", b"", "image/png", 400, "the parameter threshold"),
    ("/models/tiny/detect?format=gif", b"", "image/png", 400, "the parameter format cannot"),
    ("/models/tiny/detect", b"--x--\r\n", "multipart/form-data; boundary=x", 400,
     "the form "),  # has no file, or cannot be read: older readers of forms want a part
    ("/models/tiny/detect", b"x", "multipart/form-data", 400, "the form cannot be read:"),
    ("/nothing", b"", "image/png", 405, "this address is not asked in that way"),
])
def test_a_refusal_is_a_sentence(server, path, content, kind, status, error):
    answer = server.send(path, content, kind)
    assert (answer.status, list(answer.json)) == (status, ["error"])
    assert answer.error.startswith(error)


def test_what_cannot_be_drawn_or_answered_is_refused(server):
    pictures = [("a.png", encoded("PNG"))] * 2
    answer = server.send_form("/models/tiny/detect?format=png", pictures)
    assert (answer.status, answer.error) == (
        400, "2 pictures cannot be drawn into one: send them one by one, or ask for JSON")
    assert server.detect(encoded(), Accept="text/html").status == 406
    answer = server.send_form("/models/tiny/detect", pictures * 9)
    assert (answer.status, answer.error) == (
        400, "the form cannot be read: Too many files. Maximum number of files is 16.")
    boundary = "--x\r\nContent-Disposition: form-data; name=\"threshold\"\r\n\r\n0.5\r\n--x--\r\n"
    answer = server.send("/models/tiny/detect", boundary, "multipart/form-data; boundary=x")
    assert (answer.status, answer.error.split(":")[0]) == (
        400, "the field threshold of the form is no file")


def test_every_answer_has_an_id_and_the_log_has_it(server):
    chosen = server.detect(encoded(), **{"X-Request-Id": "from-client.7"})
    made = server.get("/nothing", **{"X-Request-Id": "no id \"}"})
    assert chosen.headers["x-request-id"] == "from-client.7"
    assert len(made.headers["x-request-id"]) == 32
    line = server.line_of("from-client.7")
    assert (line["model"], line["pictures"], line["status"], line["path"]) == (
        "tiny", 1, 200, "/models/tiny/detect")
    assert line["bytes"] == len(encoded())
    assert server.line_of(made.headers["x-request-id"])["status"] == 404


def test_figures_are_those_of_prometheus(server):
    from prometheus_client.parser import text_string_to_metric_families

    def figures():
        answer = server.get("/metrics")
        assert answer.headers["content-type"].startswith("text/plain")
        return {(sample.name, *sorted(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(answer.body.decode())
                for sample in family.samples}

    before = figures()
    server.send_form("/models/other/detect", [("a.png", encoded("PNG"))] * 3)
    server.get("/of/which/there/is/no/end")
    after = figures()

    def grown(*key):
        return after[key] - before.get(key, 0)

    assert grown("ssdreg_pictures_total", ("model", "other")) == 3
    assert grown("ssdreg_requests_total", ("route", "/models/{name}/detect"),
                 ("status", "200")) == 1
    assert grown("ssdreg_requests_total", ("route", "other"), ("status", "404")) == 1
    # a model for one image at a time
    assert grown("ssdreg_batch_pictures_count", ("model", "other")) == 3
    assert after["ssdreg_pictures_waiting",] == 0


def test_the_document_has_examples_and_names_no_other_host(server):
    text = server.get("/openapi.json").body.decode()
    assert "://" not in text
    document = json.loads(text)
    assert set(document["paths"]) == {
        "/ping", "/models", "/models/{name}", "/models/{name}/detect", "/metrics", "/invocations",
        "/endpoints/{name}/invocations"}
    examples = {name: schema["examples"] for name, schema in document["components"][
        "schemas"].items() if "examples" in schema}
    assert set(examples) == {"DetectAnswer", "ModelsAnswer", "InvocationAnswer", "ErrorAnswer"}
    content = document["paths"]["/models/{name}/detect"]["post"]["requestBody"]["content"]
    assert {"image/jpeg", "image/png", "multipart/form-data"} <= set(content)


def test_static_files_are_answered(server):
    assert server.get("/robots.txt").body.startswith(b"User-agent: *")
    assert server.get("/../app.py").status == server.get("/..%2fapp.py").status == 404


def test_a_picture_without_objects_has_none(server):
    [image] = server.detect(encoded(colors=[BLACK] * 4)).json["images"]
    assert image["objects"] == []
    [image] = server.detect(encoded(colors=[RED, *[BLACK] * 3])).json["images"]
    assert len(image["objects"]) == 1
