"""The kinds of files that are damaged: an original of each, and what reads it here."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from attrs import field, frozen
from PIL import Image

SIDE = 64
_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tiff", ".webp"}


@frozen
class Kind:
    """A kind of file.

    - `make(folder, run, data)`: writes originals into an empty folder; `run` is a trained run's
      folder, `data` the folder of its data set
    - `patterns`: the files that are damaged, one each time
    - `read(folder, file)`: reads it as a command does, and returns a digest of what was read
    """

    name: str
    make: Callable[[Path, Path, Path], None] = field(repr=False)
    patterns: tuple[str, ...]
    read: Callable[[Path, Path], str] = field(repr=False)

    def files(self, folder: Path) -> list[Path]:
        """Return the files of the originals that are damaged."""
        return sorted({file for pattern in self.patterns for file in folder.rglob(pattern)
                       if file.is_file()})


def digest(*values: object) -> str:
    """Return a digest of arrays and other values."""
    total = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            total.update(repr((value.shape, value.dtype.str)).encode())
            total.update(np.ascontiguousarray(value).tobytes())
        else:
            total.update(repr(value).encode("utf-8", "surrogatepass"))
    return total.hexdigest()


# Annotations

def _make_sample(name: str, folder: Path, _run: Path, _data: Path) -> None:
    from ssdreg.registry.lazy_reference import resolve
    from ssdreg.registry.names import get_data_format
    sample = get_data_format(name).sample
    assert sample is not None
    resolve(sample)(folder)


def _read_annotations(name: str, folder: Path, _file: Path) -> str:
    from ssdreg.data.reading import read_dataset
    dataset = read_dataset(folder, format=name)
    return digest(dataset.classes, [(sample.image.name, sample.boxes)
                                    for sample in dataset.samples])


def _annotations(name: str) -> Kind:
    texts = ("*.json", "*.xml", "*.csv", "*.txt", "*.yaml", "*.manifest", "*.jsonl", "*.lst")
    return Kind(f"annotations, {name}", partial(_make_sample, name), texts,
                partial(_read_annotations, name))


# Pictures

def _make_pictures(folder: Path, _run: Path, _data: Path) -> None:
    random = np.random.default_rng(0)
    colors = random.integers(0, 256, (8, 10, 3), np.uint8)
    image = Image.fromarray(np.kron(colors, np.ones((6, 6, 1), np.uint8)))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(folder / "plain.jpg")
    image.save(folder / "turned.jpg", exif=exif)
    image.save(folder / "progressive.jpg", progressive=True, subsampling=0)
    image.convert("CMYK").save(folder / "four.jpg")
    image.convert("L").save(folder / "grey.jpg")
    image.save(folder / "plain.png", exif=exif)
    image.convert("P").save(folder / "palette.png")
    image.convert("RGBA").save(folder / "four.png")
    Image.fromarray(random.integers(0, 2**16, (48, 60)).astype(np.uint16)).save(
        folder / "sixteen.png")
    for suffix in ("bmp", "gif", "tiff", "webp"):
        image.save(folder / f"plain.{suffix}")
    image.save(folder / "packed.tiff", compression="tiff_lzw")


def _read_picture(_folder: Path, file: Path) -> str:
    from ssdreg_runtime.errors import DataError
    from ssdreg_runtime.io.images import prepare, read

    from ssdreg.data.dataset import Sample
    from ssdreg.data.encoding import encode
    encoded = encode(Sample(file, (), 60, 48))
    # as detection reads it
    pixels = read(file)
    prepare(file, (32, 32))
    if encoded.content is None:
        assert encoded.issue is not None
        raise DataError(str(encoded.issue))
    return digest(pixels)


# Records

def _make_records(folder: Path, _run: Path, data: Path) -> None:
    from ssdreg.data import load
    packed = load(data, "val")
    # with what packing wrote beside it, and as packed elsewhere: then its pictures are proven
    for file, name in ((packed.rec, "here.rec"), (packed.rec.with_suffix(".json"), "here.json"),
                       (packed.rec, "elsewhere.rec"), (packed.idx, "elsewhere.idx")):
        if file is not None:
            shutil.copy(file, folder / name)


def _read_records(folder: Path, file: Path) -> str:
    from ssdreg.data import open_rec, open_train
    from ssdreg.data.augmentation import RECIPES
    from ssdreg.data.originals import image_sizes
    from ssdreg.data.proof import proved
    packed = proved(open_rec(folder / f"{file.stem}.rec"))
    batches = open_train(packed, (SIDE, SIDE), 2, next(iter(RECIPES.values())), threads=1)
    try:
        arrays = [array.asnumpy() for batch in batches for array in (*batch.data, *batch.label)]
    finally:
        batches.close()
    return digest(packed.classes, image_sizes(packed), *arrays)


# Runs and checkpoints

def _make_run(folder: Path, run: Path, _data: Path) -> None:
    for file in run.iterdir():
        if file.is_file() and file.suffix in (".json", ".params", ".states", ".csv"):
            shutil.copy(file, folder / file.name)


def _pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def _detected(backend: object) -> str:
    from ssdreg_runtime.inference.detector import Detector
    detector = Detector.on(backend)  # type: ignore[arg-type]
    detections = detector.detect(_pixels())[0]
    return digest(detections.classes, detections.labels, detections.scores, detections.xyxy)


def _read_run(folder: Path, _file: Path) -> str:
    from ssdreg.deploy.model import open_deploy_model
    from ssdreg.inference.detector import open_backend
    open_deploy_model(folder)
    return _detected(open_backend(folder, "mxnet"))


def _make_symbols(folder: Path, run: Path, data: Path) -> None:
    from ssdreg.registry.names import get_backbone
    _make_run(folder, run, data)
    get_backbone("resnet18").symbol().save(str(folder / "backbone-symbol.json"))


def _read_symbol(folder: Path, file: Path) -> str:
    import ssdreg
    from ssdreg.auditing.symbols import audit_symbol
    from ssdreg.deploy.executor import bind_checkpoint
    from ssdreg.mx import mx
    if file.name.startswith("deploy"):
        return _read_run(folder, file)
    if file.name.startswith("backbone"):
        return digest(audit_symbol(file, ("_plus3", "_plus5"), (SIDE, SIDE)))
    # as a checkpoint of somebody else, whose parameters lie beside
    checkpoint = ssdreg.load_checkpoint(folder / file.name.removesuffix("-symbol.json"),
                                        data_shape=SIDE)
    inference = bind_checkpoint(checkpoint)
    return digest(inference.detect(mx.nd.ones((1, 3, SIDE, SIDE))))


def _read_state(folder: Path, _file: Path) -> str:
    from ssdreg.runs.run import open_run
    from ssdreg.training import state
    run = open_run(folder)
    saved = state.load(run)
    return digest(saved.state, saved.options, saved.data, saved.augmentation,
                  *(array.asnumpy() for array in saved.optimizer.values()))


def _make_archive(folder: Path, run: Path, _data: Path) -> None:
    members = folder.with_name(f"{folder.name}-members")
    members.mkdir()
    shutil.copy(run / "ssd-symbol.json", members / "model_algo_1-symbol.json")
    shutil.copy(run / "ssd-0001.params", members / "model_algo_1-0001.params")
    (members / "hyperparams.json").write_text(
        json.dumps({"image_shape": str(SIDE)}), encoding="utf-8")
    # damaged before it is compressed, too: behind the checksum of the compression
    with tarfile.open(folder / "model.tar.gz", "w:gz") as packed, \
            tarfile.open(folder / "inner.tar", "w") as inner:
        for file in sorted(members.iterdir()):
            packed.add(file, file.name)
            inner.add(file, file.name)
    shutil.rmtree(members)


def _with_checksums(content: bytes) -> bytes:
    """Return an archive whose headers are what their checksums say, whatever else they are."""
    blocks = [content[start:start + 512] for start in range(0, len(content), 512)]
    for number, block in enumerate(blocks):
        if block[257:262] == b"ustar":
            total = sum(block[:148] + b" " * 8 + block[156:])
            blocks[number] = block[:148] + b"%06o\0 " % total + block[156:]
    return b"".join(blocks)


def _read_archive(_folder: Path, file: Path) -> str:
    if file.suffix == ".gz":
        return _read_checkpoint(file)
    with tempfile.TemporaryDirectory() as folder:
        packed = Path(folder, "model.tar.gz")
        packed.write_bytes(gzip.compress(_with_checksums(file.read_bytes()), 0))
        return _read_checkpoint(packed)


def _read_checkpoint(file: Path) -> str:
    from ssdreg.checkpoints.files import read_files
    files = read_files(file)
    assert files.net is not None
    assert files.params is not None
    return digest(files.net.nodes, files.net.heads, files.hyperparameters,
                  *(array.asnumpy() for array in files.params.args.values()))


# Weights

def _make_safetensors(folder: Path, run: Path, _data: Path) -> None:
    from safetensors.numpy import save_file

    from ssdreg.runs.params import read_params
    arrays = {name: array.asnumpy()
              for name, array in list(read_params(run / "ssd-0001.params").args.items())[:12]}
    save_file(arrays, folder / "net.safetensors")


def _make_torch(folder: Path, _run: Path, _data: Path) -> None:
    for file in (Path(__file__).parents[1] / "tests/reference/torch").glob("*.pth"):
        shutil.copy(file, folder / file.name)


def _read_weights(_folder: Path, file: Path) -> str:
    from ssdreg.weights.formats import read_file
    arrays = read_file(file)
    return digest(*arrays, *arrays.values())


# Exported models

def _make_onnx(folder: Path, run: Path, _data: Path) -> None:
    import ssdreg
    ssdreg.export(run, out=folder / "net.onnx")


def _make_ir(folder: Path, run: Path, data: Path) -> None:
    import openvino
    _make_onnx(folder, run, data)
    openvino.save_model(openvino.convert_model(folder / "net.onnx"), folder / "net.xml")
    (folder / "net.onnx").unlink()


def _read_model(backend: str, folder: Path, file: Path) -> str:
    from ssdreg_runtime.backends import open_backend
    return _detected(open_backend(file if file.suffix != ".bin" else folder / "net.xml",
                                  backend, threads=1))


def kinds() -> tuple[Kind, ...]:
    """Return all kinds."""
    from ssdreg.registry.names import list_data_formats
    return (
        *(_annotations(format.name) for format in list_data_formats()),
        Kind("pictures", _make_pictures, tuple(f"*{suffix}" for suffix in _PICTURES),
             _read_picture),
        Kind("records", _make_records, ("*.rec", "*.json", "*.idx"), _read_records),
        Kind("symbols", _make_symbols, ("*-symbol.json",), _read_symbol),
        Kind("parameters", _make_run, ("*.params",), _read_run),
        Kind("optimizer files", _make_run, ("*.states",), _read_state),
        Kind("config.json", _make_run, ("config.json",), _read_run),
        Kind("state.json", _make_run, ("state.json",), _read_state),
        Kind("PyTorch files", _make_torch, ("*.pth",), _read_weights),
        Kind("safetensors", _make_safetensors, ("*.safetensors",), _read_weights),
        Kind("archives", _make_archive, ("*.tar.gz", "*.tar"), _read_archive),
        Kind("ONNX, ONNX Runtime", _make_onnx, ("*.onnx",), partial(_read_model, "onnxruntime")),
        Kind("ONNX, OpenVINO", _make_onnx, ("*.onnx",), partial(_read_model, "openvino")),
        Kind("OpenVINO's files", _make_ir, ("*.xml", "*.bin"), partial(_read_model, "openvino")))
