"""What strangers send: mutated pictures, paths for names, and whatever the API's document allows.

No answer may be an error of the server, and the server must be well afterwards.
"""

from __future__ import annotations

import random
import subprocess
import sys
from importlib.util import find_spec

import pytest
from runtime_support.mutations import mutated
from runtime_support.servers import encoded

KINDS = ("JPEG", "PNG", "BMP", "GIF", "TIFF", "WEBP")
#: Mutated pictures of each kind; `benchmarks/serve.py --attack` sends 10,000.
PICTURES = 60

#: Errors that a picture may get: damaged, too large, of no known format.
REFUSED = {400, 413, 415}


def beginning(value):
    """Return the name of what is sent in a report: its first characters."""
    return repr(value)[:24]


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_pictures_are_detected_in_or_refused(server, kind):
    chance = random.Random(kind)
    whole = encoded(kind)
    pictures = [(f"{number}.bin", mutated(whole, chance)) for number in range(PICTURES)]
    seen = set()
    for number in range(0, PICTURES, 15):
        answer = server.send_form("/models/tiny/detect?threshold=0", pictures[number:number + 15])
        assert answer.status in {200, *REFUSED}, answer.body
        seen |= {"error" in image for image in answer.json.get("images", ())}
    for _, content in pictures[:15]:
        answer = server.detect(content, "?threshold=0&format=png")
        assert answer.status in {200, *REFUSED}, answer.body
    assert seen == {True, False}
    assert server.is_well()


@pytest.mark.parametrize("name", [
    "../../etc/passwd", "/etc/passwd", "..\\..\\boot.ini", "a\x00b.png", "é" * 5000, "",
    "<script>.png", "%2e%2e%2f", "\u202egnp.exe"], ids=beginning)
def test_a_files_name_is_a_word_and_no_path(server, name):
    answer = server.send_form("/models/tiny/detect", [(name, encoded())])
    assert answer.status in (200, 400)
    for image in answer.json.get("images", ()):
        assert not set("/\\\x00") & set(image["image"])
        assert 0 < len(image["image"]) <= 200


@pytest.mark.parametrize("path", [
    "/models/../models/tiny", "/models/..%2f..%2fetc%2fpasswd", "/models/%00", "/models/%ff",
    "/models/tiny.onnx", "/models/" + "a" * 4000, "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd",
    "/models//", "/page/../app.py", "/robots.txt/..", "/" + "../" * 20 + "etc/passwd"],
    ids=beginning)
def test_a_path_leads_to_no_file(server, path, models_folder):
    answer = server.get(path)
    # also those that lead to another address
    assert answer.status in (307, 404), answer.body
    for told in (b"root:", b"import", str(models_folder).encode(), b"site-packages"):
        assert told not in answer.body
    assert server.get("/models").status == 200


def test_no_answer_holds_a_path_of_the_machine(server, models_folder):
    answers = [server.get("/models"), server.get("/openapi.json"), server.get("/metrics"),
               server.get("/nothing"), server.detect(b"no picture"), server.detect(encoded()[:300]),
               server.send("/models/x/detect", b"", "image/png"), server.detect(encoded())]
    for answer in answers:
        for told in (str(models_folder), ".onnx", "site-packages", "ssdreg_runtime", "/tmp"):
            assert told not in answer.body.decode()
            assert told not in str(answer.headers)


@pytest.mark.parametrize("kind", [
    "text/html", "application/json", "image/svg+xml", "multipart/mixed; boundary=x", "image",
    "\xff\xfe", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"",
    "multipart/form-data; boundary=" + "x" * 300, "image/png; charset=\xe9"], ids=beginning)
def test_wrong_content_types_are_refused(server, kind):
    for path in ("/models/tiny/detect", "/invocations"):
        answer = server.send(path, b"--x\r\n\r\nno picture", kind)
        assert answer.status in REFUSED, answer.body
    assert server.is_well()


@pytest.mark.parametrize("form", [
    b"--x", b"--x\r\n", b"--x\r\n\r\n", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--",
    b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\nhalf a pict",
    b"--x\r\n" + b"A: b\r\n" * 5000 + b"\r\n--x--", b"--x\r\n" + b"A" * 100_000 + b"\r\n--x--",
    b"--y\r\n\r\n--y--", b"\r\n" * 1000, b"--x\r\nContent-Disposition: form-data; name=\"\xff\"; "
    b"filename*=utf-9''%ff\r\nContent-Transfer-Encoding: base64\r\n\r\na\r\n--x--\r\n",
    (b"--x\r\nContent-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n\r\n\r\n" * 1000
     + b"--x--\r\n")], ids=beginning)
def test_damaged_forms_are_refused(server, form):
    answer = server.send("/models/tiny/detect", form, "multipart/form-data; boundary=x")
    assert answer.status in REFUSED, answer.body
    assert server.is_well()


@pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis is not installed")
def test_the_document_keeps_its_word(server, tmp_path):
    """What it allows is answered in the forms it states, and the rest is refused."""
    done = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json",
         "--max-examples", "12", "--seed", "1", "--phases", "examples,coverage,fuzzing",
         "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,"
         "response_schema_conformance", "--no-color", "--generation-database", "none"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert server.is_well()
    assert server.logged("request failed") == []
