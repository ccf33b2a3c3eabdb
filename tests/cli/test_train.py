"""What `ssdreg train` refuses, before anything is written."""

from __future__ import annotations

import pytest
from support.runs import DETECTOR, command, refused

from ssdreg.data import load, pack, read_voc
from ssdreg.registry.device import CPU, Device
from ssdreg.registry.names import get_engine
from ssdreg.training.options import TrainOptions


@pytest.fixture
def train(capsys, tmp_path, tiny_shapes):
    def start(*arguments: object, detector: tuple[str, ...] = DETECTOR):
        return command(capsys, "train", "--out", tmp_path / "run", *detector,
                       "--data", tiny_shapes, *arguments)
    return start


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--backbone", "resnet51"], "no backbone is called 'resnet51': did you mean resnet50"),
    (["--head", "sdd"], "no head is called 'sdd': did you mean ssd"),
    (["--device", "tpu"], "--device 'tpu' is no device: write cpu, cuda, cuda:0,1 or mps"),
    (["--device", "cpu:1"], "--device 'cpu:1' is no device"),
    (["--device", "cuda:1,1"], "--device 'cuda:1,1' is no device"),
    (["--device", "gpu:99"], "the engine mxnet cannot compute on cuda:99: it sees"),
    (["--device", "mps"], "the engine mxnet knows no device mps"),
    (["--engine", "tensorflow"], "no engine is called 'tensorflow': there are mxnet."),
    (["--engine", "mxnet", "--precision", "float16"],
     f"--precision float16: the engine mxnet trains in "
     f"{' or '.join(get_engine('mxnet').precisions_on(Device(CPU)))} on cpu"),
    (["--data-shape", "8"], "take a larger data_shape"),
    (["--epochs", "0"], "this recipe cannot be: 'epochs' must be > 0: 0"),
    (["--lr", "nan"], "this recipe cannot be: 'lr' must be > 0: nan"),
    (["--momentum", "-1"], "this recipe cannot be: 'momentum' must be >= 0: -1.0"),
    (["--freeze", "("], "--freeze '(' is no regular expression: missing )"),
    (["--freeze", "nothing_"], "--freeze 'nothing_' matches none of the"),
    (["--pretrained", "nowhere.params"], "nowhere.params is not there: give a .params file"),
    (["--split", "minitrain"], "minitrain.txt: there is no such split; the splits here are: "
                               "train, trainval, val"),
    (["--val-split", "minival"], "say by --split what to train on besides the split 'minival'"),
])
def test_a_bad_argument_is_one_sentence_and_leaves_nothing(train, tmp_path, arguments, sentence):
    assert refused(train(*arguments), sentence)
    assert not list(tmp_path.iterdir())


def test_a_backbone_and_data_are_needed(capsys, tmp_path, tiny_shapes, train):
    assert refused(train(detector=()), "--backbone and --data are needed to start a run")
    assert refused(command(capsys, "train", *DETECTOR, "--out", tmp_path / "run"),
                   "--backbone and --data are needed to start a run")
    assert not list(tmp_path.iterdir())


def test_data_that_are_none(train, tmp_path):
    missing, empty = tmp_path / "missing", tmp_path / "empty"
    assert refused(train("--data", missing), f"{missing}: there is no such folder")
    empty.mkdir()
    assert refused(train("--data", empty), f"{empty}: this is not a data set in PASCAL VOC layout")
    assert refused(train("--data", tmp_path / "a.rec"), "there is no such .rec file")
    assert [each.name for each in tmp_path.iterdir()] == ["empty"]


def test_a_run_is_never_overwritten(capsys, tiny_run, tiny_shapes):
    before = {file.name: file.read_bytes() for file in tiny_run.iterdir()}
    done = command(capsys, "train", *DETECTOR, "--data", tiny_shapes, "--out", tiny_run)
    assert refused(done, f"{tiny_run} already holds a run: go on with it by `--resume`")
    assert {file.name: file.read_bytes() for file in tiny_run.iterdir()} == before


def test_a_checkpoint_that_fits_nowhere_leaves_nothing(train, tmp_path):
    from ssdreg.mx import mx
    stranger = tmp_path / "stranger.params"
    mx.nd.save(str(stranger), {"arg:fc_weight": mx.nd.zeros((3, 3))})
    assert refused(train("--pretrained", stranger), "fits this network by name and shape")
    assert [each.name for each in tmp_path.iterdir()] == ["stranger.params"]


def test_a_split_of_a_file_is_not_passed_over(train, tmp_path, tiny_shapes):
    rec = load(tiny_shapes, "train").rec
    assert refused(train("--data", rec, "--split", "train"),
                   f"{rec} is one split already: leave --split train out")
    assert refused(train("--val-data", rec, "--val-split", "val"),
                   f"{rec} is one split already: leave --val-split val out")
    assert not list(tmp_path.iterdir())


def test_validation_data_of_other_classes_are_refused(train, tmp_path, tiny_shapes):
    turned = pack(read_voc(tiny_shapes, "val", ("triangle", "square", "circle")),
                  cache=tmp_path / "cache")
    assert refused(train("--val-data", turned.rec),
                   "its classes are triangle, square, circle, not circle, square, triangle")
    assert [each.name for each in tmp_path.iterdir()] == ["cache"]


# Going on

def test_resuming_needs_a_run(capsys, tmp_path):
    done = command(capsys, "train", "--resume", "--out", tmp_path)
    assert refused(done, f"{tmp_path} is no run: it has no config.json")


def test_a_resumed_run_refuses_what_it_would_pass_over(capsys, tiny_run):
    resume = ("train", "--resume", "--out", tiny_run)
    assert refused(command(capsys, *resume, "--val-split", "val"), "give --data too")
    # the default is refused too, where the run had another value
    default = TrainOptions().batch_size
    assert refused(command(capsys, *resume, "--batch-size", default),
                   f"--batch-size {default} differs from the run's 8: a resumed run keeps its")


def test_a_finished_run_says_so(capsys, tiny_run):
    done = command(capsys, "train", "--resume", "--out", tiny_run, "--batch-size", 8)
    assert (done.status, done.err) == (0, "")
    assert "has had its 1 epochs; give a larger --epochs to go on" in done.out
