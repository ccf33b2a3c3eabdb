"""`ssdreg predict` on real images of many kinds, good and bad."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from ssdreg_runtime.io.pictures import read_picture
from ssdreg_runtime.io.pixels import to_rgb
from ssdreg_runtime.io.targets import output_files
from support.runs import SIDE, command, refused

from ssdreg.errors import DataError
from ssdreg.runs.params import Params, write_params
from ssdreg.runs.run import create_run, open_run


@pytest.fixture
def photo(tiny_shapes):
    return tiny_shapes / "JPEGImages" / "000016.jpg"


def test_one_image_is_drawn(capsys, tmp_path, tiny_run, photo):
    out = tmp_path / "pictures"
    done = command(capsys, "predict", tiny_run, photo, "--out", out, "--threshold", 0)
    assert (done.status, done.complaints) == (0, [])
    assert done.out.startswith(f"{photo}: ")
    assert done.out.endswith(f" -> {out / '000016.png'}\n")
    assert [file.name for file in out.iterdir()] == ["000016.png"]
    with Image.open(out / "000016.png") as drawn, Image.open(photo) as original:
        # small pictures are enlarged by a whole number
        assert drawn.width % original.width == 0
        larger = original.resize(drawn.size, Image.Resampling.NEAREST)
        assert np.any(np.asarray(drawn) != np.asarray(larger))


def test_a_folder_in_which_nothing_is_found(capsys, tmp_path, tiny_run, tiny_shapes):
    run, out = open_run(shutil.copytree(tiny_run, tmp_path / "run")), tmp_path / "out"
    params = run.load_params()
    # without weights the four classes are equally likely everywhere: a score of 0.25
    zero = {name: array.zeros_like() for name, array in params.args.items()}
    write_params(run.params_file(1), Params(zero, params.auxs))
    done = command(capsys, "predict", run.path, tiny_shapes / "JPEGImages", "--out", out)
    names = sorted(file.stem for file in (tiny_shapes / "JPEGImages").iterdir())
    assert sorted(file.stem for file in out.iterdir()) == names
    assert done.out.count(": nothing found -> ") == len(names)


def test_boxes_in_pixels(capsys, tmp_path, tiny_run, photo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Image.open(photo) as image:
        image.resize((300, 100)).save(tmp_path / "wide.png")
    arguments = ("predict", tiny_run, photo, tmp_path / "wide.png", "--json")
    found = json.loads(command(capsys, *arguments, "--threshold", 0.02).out)
    assert [(each["image"], each["width"], each["height"]) for each in found] == [
        (str(photo), SIDE, SIDE), (str(tmp_path / "wide.png"), 300, 100)]
    for each in found:
        assert each["objects"]
        for item in each["objects"]:
            left, top, right, bottom = item["box"]
            assert 0 <= left <= right <= each["width"]
            assert 0 <= top <= bottom <= each["height"]
            assert item["class"] in ("circle", "square", "triangle")
        scores = [item["score"] for item in each["objects"]]
        assert scores == sorted(scores, reverse=True)
        assert scores[-1] >= 0.02
    # a box goes over the whole width of the wide image, and not over a square of it
    assert max(item["box"][2] for item in found[1]["objects"]) > 100
    higher = json.loads(command(capsys, *arguments, "--threshold", 0.2).out)
    for few, many in zip(higher, found):
        assert few["objects"] == [item for item in many["objects"] if item["score"] >= 0.2]
    # nothing is drawn
    assert [file.name for file in tmp_path.iterdir()] == ["wide.png"]


def test_bad_images_are_named_and_the_good_ones_drawn(capsys, tmp_path, tiny_run, photo):
    folder, out = tmp_path / "images", tmp_path / "out"
    folder.mkdir()
    shutil.copy(photo, folder / "good.jpg")
    (folder / "cut.jpg").write_bytes(photo.read_bytes()[:900])
    (folder / "text.jpg").write_text("no image")
    (folder / "empty.png").write_bytes(b"")
    done = command(capsys, "predict", tiny_run, folder, "--out", out)
    assert done.status == 1
    lines = done.complaints
    for name in ("cut.jpg", "text.jpg", "empty.png"):
        assert sum(line.startswith(f"ssdreg: {folder / name} cannot be read as an image and was "
                                   f"passed over: ") for line in lines) == 1
    assert len(lines) == 3
    assert [file.name for file in out.iterdir()] == ["good.png"]
    done = command(capsys, "predict", tiny_run, folder, "--json")
    assert done.status == 1
    assert [each["image"] for each in json.loads(done.out)] == [str(folder / "good.jpg")]


def test_what_is_drawn_can_be_chosen(capsys, tmp_path, tiny_run, photo):
    def drawn(*options):
        command(capsys, "predict", tiny_run, photo, "--out", tmp_path, "--threshold", 0, *options)
        with Image.open(tmp_path / f"{photo.stem}.png") as picture:
            return picture.tobytes()

    pictures = [drawn(*options) for options in (
        (), ("--hide-scores",), ("--hide-labels",), ("--hide-labels", "--line-width", 9),
        ("--font-size", 20))]
    assert len(set(pictures)) == len(pictures)
    assert drawn("--hide-labels", "--hide-scores") == pictures[2]


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["nowhere.jpg"], "nowhere.jpg is not there: give an image or a folder of images"),
    (["{photo}", "--threshold", "50"], "--threshold 50 is no score: give one of 0 to 1"),
    (["{photo}", "--threshold", "nan"], "--threshold nan is no score"),
    (["{photo}", "--line-width", "0"],
     "a line width of 0 pixels cannot be drawn: give a whole number of 1 to 100"),
    (["{photo}", "--font-size", "1000"],
     "a font size of 1000 pixels cannot be drawn: give a whole number of 6 to 400"),
    (["{photo}", "--epoch", "7"], "ssd-0007.params is not there: the epochs on disk are 1"),
    (["{empty}"], "{empty} holds no image (.bmp, .gif, .jpeg, "),
])
def test_what_is_refused(capsys, tmp_path, tiny_run, photo, arguments, sentence):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "notes.txt").write_text("no image")
    (empty / "folder.jpg").mkdir()
    arguments = [each.format(photo=photo, empty=empty) for each in arguments]
    done = command(capsys, "predict", tiny_run, *arguments, "--out", tmp_path / "out")
    assert refused(done, sentence.format(empty=empty))
    assert not (tmp_path / "out").exists()


def test_lines_of_json(capsys, tiny_run, photo, tiny_shapes):
    arguments = ("predict", tiny_run, tiny_shapes / "JPEGImages", "--threshold", 0.1)
    array = json.loads(command(capsys, *arguments, "--json").out)
    lines = command(capsys, *arguments, "--json-lines").out.splitlines()
    assert [json.loads(line) for line in lines] == array
    assert len(array) > 2
    # an array is what it was before there were streams, to the byte
    done = command(capsys, "predict", tiny_run, photo, photo.parent, "--json")
    assert done.out == json.dumps(json.loads(done.out), indent=2) + "\n"


def test_no_picture_can_be_read(capsys, tmp_path, tiny_run):
    (tmp_path / "empty.png").write_bytes(b"")
    done = command(capsys, "predict", tiny_run, tmp_path, "--json")
    assert (done.status, done.out, len(done.complaints)) == (1, "[]\n", 1)


# Videos and standard input

def test_a_video_is_drawn(capsys, tmp_path, tiny_run, tiny_shapes):
    av = pytest.importorskip("av", reason="PyAV, which reads videos, is not installed")
    images = sorted((tiny_shapes / "JPEGImages").iterdir())[:6]
    with av.open(str(tmp_path / "clip.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", rate=10)
        stream.width = stream.height = SIDE
        for image in images:
            with Image.open(image) as opened:
                file.mux(stream.encode(av.VideoFrame.from_image(opened)))
        file.mux(stream.encode(None))
    target = tmp_path / "drawn.mp4"
    done = command(capsys, "predict", tiny_run, tmp_path / "clip.mp4", "--out", target,
                   "--threshold", 0.3)
    assert (done.status, done.complaints) == (0, [])
    assert done.out.startswith(f"{tmp_path / 'clip.mp4'}: 6 frames, ")
    assert done.out.endswith(f" -> {target}\n")
    with av.open(str(target)) as file:
        assert [(frame.time, frame.width, frame.height) for frame in file.decode(video=0)] == [
            (pytest.approx(index / 10), SIDE, SIDE) for index in range(6)]


def test_standard_input(capsys, tmp_path, tiny_run, photo, monkeypatch):
    with Image.open(photo) as image:
        image.save(tmp_path / "one.png")
    (tmp_path / "both").write_bytes(photo.read_bytes() + (tmp_path / "one.png").read_bytes())
    with (tmp_path / "both").open() as file:
        monkeypatch.setattr("sys.stdin", file)
        done = command(capsys, "predict", tiny_run, "-", "--json", "--threshold", 0.05)
    alone = json.loads(command(capsys, "predict", tiny_run, photo, "--json",
                               "--threshold", 0.05).out)[0]
    found = json.loads(done.out)
    assert [each["number"] for each in found] == [1, 2]
    assert found[0]["objects"] == found[1]["objects"] == alone["objects"]


# Backends

@pytest.fixture(scope="module")
def steady_run(tmp_path_factory):
    """A run of random weights whose scores lie apart: trained for an epoch, many are 1."""
    from ssdreg.deploy.model import random_deploy_model
    from ssdreg.detector.overrides import Overrides
    source = random_deploy_model("resnet18", 3, SIDE, overrides=Overrides(tap_strides=(8, 16)))
    run = create_run(tmp_path_factory.mktemp("runs") / "steady", source.classes, source.plan,
                     source.symbol, source.symbol)
    args = {name: array / 10 if "_cls_pred_" in name else array
            for name, array in source.params.args.items()}
    write_params(run.params_file(1), Params(args, source.params.auxs))
    return run.path


@pytest.fixture(scope="module")
def exported(steady_run, tmp_path_factory):
    from ssdreg.deploy.model import open_deploy_model
    from ssdreg.exporting import write_onnx
    file = tmp_path_factory.mktemp("exported") / "steady.onnx"
    write_onnx(open_deploy_model(steady_run), file)
    return file


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_every_backend_finds_the_same(capsys, steady_run, exported, photo, backend):
    pytest.importorskip(backend, reason=f"{backend} is not installed")

    def objects(model, *arguments):
        done = command(capsys, "predict", model, photo, "--json", *arguments)
        assert (done.status, done.complaints) == (0, [])
        return json.loads(done.out)[0]["objects"]

    by_mxnet = objects(steady_run)
    assert len(by_mxnet) > 5
    assert by_mxnet[0]["score"] < 0.9
    for found in (objects(steady_run, "--backend", backend, "--threads", 1),
                  objects(exported, "--backend", backend, "--threads", 1)):
        assert [each["class"] for each in found] == [each["class"] for each in by_mxnet]
        for each, same in zip(found, by_mxnet):
            assert each["score"] == pytest.approx(same["score"], abs=1e-3)
            assert each["box"] == pytest.approx(same["box"], abs=0.11)  # both rounded


@pytest.mark.parametrize(("model", "arguments", "sentence"), [
    ("{exported}", ["--backend", "mxnet"], "steady.onnx was exported, and mxnet cannot run it"),
    ("{exported}", ["--epoch", "1"], "steady.onnx holds one epoch's parameters"),
    ("{exported}", ["--ray", "local", "--epoch", "1"], "steady.onnx holds one epoch's parameters"),
    ("{exported}", ["--ray", "local", "--classes", "a,b"], "knows its classes, input size and nor"),
    ("{run}", ["--ray", "local", "--epoch", "1"], "is no exported detector, which --ray needs"),
    ("{exported}", ["--device", "gpu:0"], "--device gpu:0 needs an ONNX Runtime with "
                                          "CUDAExecutionProvider, and the one that is installed"),
    ("{exported}", ["--device", "tensorrt"], "needs an ONNX Runtime with TensorrtExecutionProvid"),
    ("{run}", ["--device", "openvino:GPU"], "OpenVINO finds no GPU here, for --device openvino:G"),
    ("{exported}", ["--device", "openvino:GPU", "--backend", "onnxruntime"],
     "is a device of openvino, not of onnxruntime"),
    ("{exported}", ["--device", "tpu"], "--device 'tpu' is no device that runs a model file"),
    ("{run}", ["--iou", "0"], "--iou 0 is no overlap of boxes"),
    ("{exported}", ["--max-det", "0"], "--max-det 0 keeps nothing"),
    ("{run}", ["--only", "circle,sqare"], "--only sqare: the detector has no class of that "
                                          "name; did you mean square?"),
    ("{run}", ["--threads", "0"], "0 is no number of threads: give 1 or more"),
    ("{run}", ["--precision", "decimal"], "there is no precision 'decimal': choose one of auto"),
    ("nowhere.onnx", [], "nowhere.onnx is not there"),
    ("nowhere", [], "nowhere"),
])
def test_what_no_backend_can_do(capsys, tmp_path, tiny_run, exported, photo, model, arguments,
                                sentence):
    done = command(capsys, "predict", model.format(run=tiny_run, exported=exported), photo,
                   "--out", tmp_path / "out", *arguments)
    assert refused(done, sentence)
    assert not (tmp_path / "out").exists()


# Names of pictures

def test_pictures_of_one_name_are_numbered(tmp_path):
    files = [tmp_path / name for name in ("a/1.jpg", "b/1.jpg", "c/1-2.jpg", "d/1.png", "e/2.jpg")]
    targets = output_files(files, tmp_path / "out")
    assert [targets[file].name for file in files] == [
        "1.png", "1-2.png", "1-2-2.png", "1-3.png", "2.png"]


def test_images_of_one_name_from_two_folders_are_both_drawn(capsys, tmp_path, tiny_run, photo):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(photo, tmp_path / folder / "one.jpg")
    # an image that is given twice is one image
    done = command(capsys, "predict", tiny_run, tmp_path / "a", tmp_path / "b",
                   tmp_path / "a" / "one.jpg", "--out", tmp_path / "out")
    assert done.status == 0
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["one-2.png", "one.png"]


def test_an_image_is_not_replaced_by_its_picture(capsys, tmp_path, tiny_run, photo):
    with Image.open(photo) as image:
        image.save(tmp_path / "one.png")
    before = (tmp_path / "one.png").read_bytes()
    done = command(capsys, "predict", tiny_run, tmp_path / "one.png", "--out", tmp_path)
    assert refused(done, "is one of the images and would be replaced by its picture")
    assert (tmp_path / "one.png").read_bytes() == before
    # nothing is drawn for JSON, so nothing can be replaced
    assert command(capsys, "predict", tiny_run, tmp_path / "one.png", "--out", tmp_path,
                   "--json").status == 0


# Kinds of images

RAMP = np.linspace(0, 255, 48 * 32).astype(np.uint8).reshape(32, 48)


def saved(path, image, **options):
    image.save(path, **options)
    return read_picture(path, str(path)).pixels


def test_greyscale_is_the_same_in_all_channels(tmp_path):
    read = saved(tmp_path / "grey.png", Image.fromarray(RAMP))
    assert np.array_equal(read, np.stack([RAMP] * 3, axis=2))


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_of_16_bits_the_upper_8_are_kept(tmp_path, suffix):
    deep = Image.fromarray(RAMP.astype(np.uint16) * 256 + 77)
    read = saved(tmp_path / f"deep.{suffix}", deep)
    assert np.array_equal(read, np.stack([RAMP] * 3, axis=2))


def test_transparency_is_dropped(tmp_path):
    colors = np.dstack([RAMP, RAMP[::-1], RAMP[:, ::-1]])
    clear = Image.fromarray(np.dstack([colors, np.zeros_like(RAMP)]))
    assert np.array_equal(saved(tmp_path / "clear.png", clear), colors)


def test_a_palette_is_looked_up(tmp_path):
    image = Image.new("P", (4, 2), 1)
    image.putpalette([0, 0, 0, 200, 100, 50])
    read = saved(tmp_path / "palette.png", image)
    assert read.shape == (2, 4, 3)
    assert np.all(read == (200, 100, 50))


def test_a_camera_on_its_side_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    read = saved(tmp_path / "turned.png", Image.fromarray(RAMP), exif=exif)
    assert np.array_equal(read[..., 0], np.rot90(RAMP, -1))


def test_fractions_are_refused(tmp_path):
    Image.fromarray(RAMP.astype(np.float32) / 255).save(tmp_path / "float.tif")
    with pytest.raises(DataError, match=r"float\.tif cannot be read .* pixels are fractions"):
        read_picture(tmp_path / "float.tif", "float.tif")


def test_integers_of_32_bits_are_cut_at_white():
    wide = Image.fromarray(np.array([[0, 256, 65535, 70000]], np.int32))
    assert np.asarray(to_rgb(wide))[0, :, 0].tolist() == [0, 1, 255, 255]


def test_the_smallest_and_a_large_image(capsys, tmp_path, tiny_run):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    Image.new("RGB", (6000, 1000), "grey").save(tmp_path / "panorama.jpg")
    done = command(capsys, "predict", tiny_run, tmp_path, "--out", tmp_path / "out")
    assert (done.status, done.complaints) == (0, [])
    with Image.open(tmp_path / "out" / "panorama.png") as drawn:
        assert drawn.size == (6000, 1000)
    found = json.loads(command(capsys, "predict", tiny_run, tmp_path, "--json").out)
    assert [(each["width"], each["height"]) for each in found] == [(1, 1), (6000, 1000)]
