"""Detection on real clusters of Ray: one that is started for it, and one of two nodes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from time import monotonic, sleep

import onnx
import pytest
from PIL import Image
from runtime_support.ray_clusters import PATIENCE, environ_of, ray_folder, two_nodes
from runtime_support.tiny_model import picture, tiny_model
from ssdreg_runtime.backends import installed

pytest.importorskip("ray.data", reason="Ray, which comes with the extra ray, is not installed")
pytestmark = pytest.mark.skipif(not installed(), reason="neither OpenVINO nor ONNX Runtime is "
                                                        "installed")
PICTURES = 60


@pytest.fixture(scope="module")
def ray_place():
    with ray_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def nodes(ray_place):
    with two_nodes(ray_place) as address:
        yield address


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, and pictures of which one is none."""
    made = tmp_path_factory.mktemp("many")
    onnx.save(tiny_model(None), str(made / "tiny.onnx"))
    (made / "photos").mkdir()
    for number in range(PICTURES - 1):
        colors = ((200, 0, 0), (0, 200 if number % 2 else 0, 0))
        Image.fromarray(picture(colors, (64, 48))).save(made / "photos" / f"{number:03d}.png")
    (made / "photos" / "poem.png").write_text("a poem")
    return made


def words(*arguments):
    return [sys.executable, "-m", "ssdreg_runtime", *map(str, arguments)]


def detect(ray_place, folder, *arguments):
    done = subprocess.run(words(*arguments), cwd=folder, capture_output=True, text=True,
                          check=False, env=environ_of(ray_place), timeout=300)
    assert "Traceback" not in done.stderr
    return done


def rows_of(folder):
    from pyarrow import dataset
    return dataset.dataset(folder).to_table().to_pylist()


def hidden(folder):
    return [file.name for file in folder.iterdir() if file.name.startswith(".")]


def test_two_nodes_find_what_one_process_finds(ray_place, nodes, folder):
    done = detect(ray_place, folder, "tiny.onnx", "photos", "--ray", nodes, "--out", "found")
    assert (done.returncode, done.stdout) == (1, f"{PICTURES} images -> found\n")
    assert done.stderr.endswith(f"1 of {PICTURES} pictures could not be read; their rows say why\n")
    alone = detect(ray_place, folder, "tiny.onnx", "photos", "--json-lines", "--threads", "1")
    expected = {str(folder / each["image"]): each for each in
                map(json.loads, alone.stdout.splitlines())}
    rows = {row["image"]: row for row in rows_of(folder / "found")}
    bad = rows.pop(str(folder / "photos" / "poem.png"))
    assert bad["error"].startswith(f"{folder}/photos/poem.png cannot be read as an image")
    assert (bad["width"], bad["height"], bad["objects"]) == (None, None, [])
    assert set(rows) == set(expected)
    for name, row in rows.items():
        assert row["error"] is None
        assert [(each["class"], each["box"]) for each in row["objects"]] == [
            (each["class"], each["box"]) for each in expected[name]["objects"]]
    assert len(rows_of(folder / "found")) == PICTURES
    again = detect(ray_place, folder, "tiny.onnx", "photos", "--ray", nodes, "--out", "found")
    assert (again.returncode, again.stdout, again.stderr) == (
        0, f"0 images, {PICTURES} before -> found\n", "")


def test_a_killed_job_goes_on(ray_place, nodes, folder):
    out = folder / "killed"
    command = words("tiny.onnx", "photos", "--ray", nodes, "--out", out, "--format", "jsonl")
    with subprocess.Popen(command, cwd=folder, env=environ_of(ray_place),
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as job:
        end = monotonic() + PATIENCE
        while not list(out.glob("part-*")) and monotonic() < end:
            assert job.poll() is None
            sleep(0.005)
        job.send_signal(signal.SIGKILL)
    done = detect(ray_place, folder, "tiny.onnx", "photos", "--ray", nodes, "--out", out,
                  "--format", "jsonl")
    assert done.returncode in (0, 1)
    names = Counter(json.loads(line)["image"] for shard in out.glob("part-*")
                    for line in shard.read_text(encoding="utf-8").splitlines())
    assert set(names) == {str(file) for file in (folder / "photos").iterdir()}
    # the cluster ends the workers of a driver that is gone, and none of them writes until then
    assert set(names.values()) == {1}
    assert hidden(out) == []


def test_a_worker_that_is_killed_is_replaced(ray_place, nodes, folder):
    """By Ray; the shard it had begun is done by another."""
    code = ("import os, sys\nfrom ssdreg_runtime.many import job, worker\n"
            "class Mortal(worker.ShardDetector):\n"
            "    def __call__(self, shard):\n"
            "        try:\n            os.close(os.open(sys.argv[1], os.O_CREAT | os.O_EXCL))\n"
            "        except FileExistsError:\n            return super().__call__(shard)\n"
            "        os.kill(os.getpid(), 9)\n"
            "job.ShardDetector = Mortal\n"
            "Mortal.__call__.__globals__['sys'] = sys\n"
            "print(job.detect_many('tiny.onnx', 'photos', 'mortal', sys.argv[2]))\n")
    code = code.replace("sys.argv[1]", repr(str(folder / "died")))
    done = subprocess.run([sys.executable, "-c", code, "", nodes], cwd=folder, text=True,
                          capture_output=True, check=False, env=environ_of(ray_place), timeout=300)
    assert done.returncode == 0, done.stderr
    assert (folder / "died").exists()
    assert f"pictures={PICTURES}, failed=1, before=0" in done.stdout
    assert Counter(row["image"] for row in rows_of(folder / "mortal")).most_common(1)[0][1] == 1


def test_a_picture_that_kills_whoever_reads_it_ends_the_job(ray_place, nodes, folder):
    code = ("import os\nfrom ssdreg_runtime.many import job, worker\n"
            "class Mortal(worker.ShardDetector):\n"
            "    def __init__(self, recipe, claim):\n"
            "        super().__init__(recipe, claim)\n"
            "        self._detector.prepare = lambda image: os.kill(os.getpid(), 9)\n"
            "job.ShardDetector = Mortal\n"
            "try:\n    job.detect_many('tiny.onnx', 'photos/001.png', 'deadly', ADDRESS)\n"
            "except job.ClusterError as error:\n    print(error)\n").replace("ADDRESS", repr(nodes))
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, text=True, check=False,
                          capture_output=True, env=environ_of(ray_place), timeout=300)
    # Ray tells of each that died, on standard output
    assert done.stdout.splitlines()[-1] == (
        f"3 workers were lost at the same pictures, {folder}/photos/001.png and those behind it: "
        f"leave out what cannot be decoded, or choose fewer workers where memory is short")


def test_a_cluster_is_started_and_ended(folder):
    with ray_folder() as place:
        (folder / "names.txt").write_text("photos/001.png\nphotos/gone.png\n")
        done = detect(place, folder, "tiny.onnx", "names.txt", "--list", "--ray", "local",
                      "--workers", "1", "--out", "listed")
        assert (done.returncode, done.stdout) == (1, "2 images -> listed\n")
        assert sorted((row["image"].rpartition("/")[2], row["error"] is None)
                      for row in rows_of(folder / "listed")) == [
            ("001.png", True), ("gone.png", False)]
        # of Ray's folders none is left
        assert [each.name for each in place.iterdir()] == ["ray"]


def test_nobody_at_an_address_is_a_sentence(ray_place, folder):
    done = detect(ray_place, folder, "tiny.onnx", "photos", "--ray", "127.0.0.1:9", "--out", "no")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ssdreg-detect: there is no Ray cluster at 127.0.0.1:9 that this "
                                  "process can join: ")
    assert len(done.stderr.splitlines()) == 1
