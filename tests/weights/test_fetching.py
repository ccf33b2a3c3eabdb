"""Fetching, from a real server on this machine: good files, bad files, bad servers, no server."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path

import pytest
from ssdreg_runtime.system.caches import cache
from support.serving import Answering, served

from ssdreg import Weights
from ssdreg.errors import WeightsError
from ssdreg.weights import fetching
from ssdreg.weights.fetching import cached_file, fetch, on_disk

CONTENT = bytes(range(256)) * 3000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(Answering):
    """Answers by path; how often each was asked for is counted in the server's `asked`."""

    def reply(self):
        asked = self.server.asked
        first = asked.count(self.path) == 1
        name = self.path.rpartition("/")[2]
        if name == "missing.params":
            self.send_error(404)
        elif name == "never.params" or (name == "busy.params" and first):
            self.send_error(503)
        elif name == "cut.params" and first:
            self.answer(CONTENT, CONTENT[:100_000])
        elif name == "hangs-up.params" and first:
            self.connection.shutdown(socket.SHUT_RDWR)
        elif name == "moved.params":
            self.send_response(302)
            self.send_header("Location", "/good.params")
            self.end_headers()
        elif name == "wrong.params":
            self.answer(CONTENT[::-1])
        else:
            self.answer(CONTENT)


@pytest.fixture(scope="module")
def server():
    with served(Handler) as running:
        yield running


@pytest.fixture(autouse=True)
def clean(tmp_path, monkeypatch):
    """Use a cache of the test's own, no proxy, and short pauses."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("SSDREG_OFFLINE", raising=False)
    monkeypatch.setattr(fetching, "FIRST_WAIT", 0.01)


@pytest.fixture
def weights(server):
    server.asked.clear()

    def declare(file, **changes):
        declared = {"backbone": "tiny", "sha256": DIGEST, **changes,
                    "url": f"http://127.0.0.1:{server.server_port}/some/{file}"}
        return Weights(**declared)
    return declare


def left_over():
    return [file for file in cache("weights").default_path("").rglob("*") if file.is_file()]


# Good files

@pytest.mark.parametrize("digits", [64, 8, 20])
def test_a_file_is_fetched_once(server, weights, digits):
    declared = weights("good.params", sha256=DIGEST[:digits])
    assert on_disk(declared) is None
    found = fetch(declared)
    assert found.read_bytes() == CONTENT
    assert (found, found.name) == (cached_file(declared), "good.params")
    assert found == on_disk(declared) == fetch(declared)
    assert server.asked == ["/some/good.params"]
    assert left_over() == [found]


@pytest.mark.parametrize("file", ["busy.params", "cut.params", "hangs-up.params"])
def test_a_failure_that_passes_is_tried_again(server, weights, file):
    assert fetch(weights(file)).read_bytes() == CONTENT
    assert server.asked == [f"/some/{file}"] * 2


def test_how_far_it_is_is_told(capfd, weights):
    told = []
    fetch(weights("good.params"), progress=told.append)
    assert {(each.unit, each.total) for each in told} == {("bytes", len(CONTENT))}
    assert [each.done for each in told] == sorted(each.done for each in told)
    assert (told[0].done, told[-1].done, told[-1].ended) == (0, len(CONTENT), True)
    assert tuple(capfd.readouterr()) == ("", "")


def test_a_redirection_is_followed(weights):
    found = fetch(weights("moved.params"))
    assert (found.name, found.read_bytes()) == ("moved.params", CONTENT)


def test_two_files_of_one_name_are_kept_apart(weights):
    one = fetch(weights("good.params"))
    with pytest.raises(WeightsError, match="has the SHA-256"):
        fetch(weights("good.params", sha256="0" * 64))
    assert left_over() == [one]


def test_the_file_name_is_a_name(weights):
    declared = weights("a%2F..%2F..%2Fgood.params?x=/../y")
    weights = Path(os.environ["XDG_CACHE_HOME"], "ssdreg", "weights")
    assert cached_file(declared).parent == weights / DIGEST
    assert fetch(declared).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_anew(server, weights):
    declared = weights("good.params")
    cached_file(declared).parent.mkdir(parents=True)
    cached_file(declared).write_bytes(CONTENT[:-1])
    assert fetch(declared).read_bytes() == CONTENT
    assert len(server.asked) == 1


# Bad files and servers

def refused(declared, *sentences):
    with pytest.raises(WeightsError) as error:
        fetch(declared)
    for sentence in sentences:
        assert sentence in str(error.value)
    assert left_over() == []


def test_another_file_than_declared(server, weights):
    other = hashlib.sha256(CONTENT[::-1]).hexdigest()
    refused(weights("wrong.params"), f"wrong.params sent has the SHA-256 {other}, but "
            f"tiny/imagenet is declared with {DIGEST}; it was not kept")
    assert len(server.asked) == 1


def test_a_file_that_is_not_there(server, weights):
    refused(weights("missing.params"), "cannot fetch the weights tiny/imagenet: http://127.0.0.1",
            "missing.params answers 404 Not Found")
    assert len(server.asked) == 1


def test_a_server_that_stays_busy(server, weights):
    declared = weights("never.params")
    refused(declared, "from 127.0.0.1, tried 4 times: the server answers 503 Service Unavailable; "
            "elsewhere, download", f"and put it at {cached_file(declared)}")
    assert len(server.asked) == 4


def test_no_server():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    refused(Weights(backbone="tiny", url=f"http://127.0.0.1:{port}/a.params", sha256=DIGEST),
            "tried 4 times: ConnectionRefusedError: [Errno 111] Connection refused; elsewhere")


def test_no_network():
    refused(Weights(backbone="tiny", url="http://no-such-host.invalid/a.params", sha256=DIGEST),
            "cannot fetch the weights tiny/imagenet from no-such-host.invalid, tried 4 times: ")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to write to")
def test_no_space_on_the_disk(weights, monkeypatch):
    declared = weights("good.params")
    folder = cached_file(declared).parent
    folder.mkdir(parents=True)
    monkeypatch.setattr("ssdreg_runtime.system.files.own_mark", lambda: "1")
    (folder / ".good.1.params").symlink_to("/dev/full")
    refused(declared, f"{folder}: No space left on device; the weights tiny/imagenet were not kept")


# Without a network on purpose

def test_offline(server, weights, monkeypatch):
    declared = weights("good.params")
    monkeypatch.setenv("SSDREG_OFFLINE", "1")
    refused(declared, "the weights tiny/imagenet are not on disk, and SSDREG_OFFLINE forbids to "
            f"fetch them; elsewhere, download {declared.url} and put it at {cached_file(declared)}")
    assert server.asked == []
    cached_file(declared).parent.mkdir(parents=True)
    cached_file(declared).write_bytes(CONTENT)
    assert fetch(declared) == cached_file(declared)


@pytest.mark.parametrize("value", ["", "0"])
def test_not_offline(weights, monkeypatch, value):
    monkeypatch.setenv("SSDREG_OFFLINE", value)
    assert fetch(weights("good.params")).is_file()


# A plug-in's own ways

def test_a_file_that_a_plug_in_finds(tmp_path):
    file = tmp_path / "here.params"
    declared = Weights(backbone="tiny", locate=lambda weights: file, about="pip install tiny")
    assert on_disk(declared) is None
    with pytest.raises(WeightsError, match="on disk, and cannot be fetched: pip install tiny"):
        fetch(declared)
    file.write_bytes(CONTENT)
    assert on_disk(declared) == fetch(declared) == file


def test_a_file_that_a_plug_in_finds_is_checked(tmp_path):
    file = tmp_path / "here.params"
    file.write_bytes(CONTENT[1:])
    declared = Weights(backbone="tiny", locate=lambda weights: file, sha256=DIGEST)
    with pytest.raises(WeightsError, match=r"here\.params has the SHA-256 .*; install it anew"):
        fetch(declared)
    assert file.exists()


def test_a_plug_ins_own_loader(tmp_path, monkeypatch):
    file = tmp_path / "loaded.params"

    def load(weights):
        file.write_bytes(weights.name.encode())
        return file

    declared = Weights(backbone="tiny", locate=lambda weights: None, fetch=load)
    monkeypatch.setenv("SSDREG_OFFLINE", "1")
    with pytest.raises(WeightsError, match=r"SSDREG_OFFLINE forbids to fetch them$"):
        fetch(declared)
    monkeypatch.delenv("SSDREG_OFFLINE")
    assert fetch(declared).read_text() == "imagenet"


def test_a_plug_ins_loader_that_fails():
    def fail(weights):
        raise KeyError("model")

    with pytest.raises(WeightsError, match="fetch of the weights a/b raised KeyError: 'model'"):
        fetch(Weights(backbone="a", name="b", locate=lambda weights: None, fetch=fail))
    with pytest.raises(WeightsError, match="locate of the weights a/b raised KeyError: 'model'"):
        on_disk(Weights(backbone="a", name="b", locate=fail))
    with pytest.raises(WeightsError, match=r"the loader of a/b brought no file \(None\)"):
        fetch(Weights(backbone="a", name="b", locate=lambda weights: None,
                      fetch=lambda weights: None))
