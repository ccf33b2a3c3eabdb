"""The programs of docs/deploy.md that run a file without ssdreg find what `Detector` finds."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from attrs import evolve
from PIL import Image
from ssdreg_runtime import Detector
from ssdreg_runtime.system.telemetry import no_telemetry
from support.documents import PYTHON, blocks
from support.paths import SHARED

from ssdreg.data.synthetic import draw_shapes
from ssdreg.deploy.model import random_deploy_model
from ssdreg.detector.overrides import Overrides
from ssdreg.exporting import Options, write_onnx
from ssdreg.runs.params import Params

with no_telemetry():
    import openvino

DOCUMENT = "docs/deploy.md"
PHOTOS = SHARED / "data" / "bccd" / "JPEGImages"
#: What a reader has in place of the document's words; random weights give low scores.
THRESHOLD, LEAST = "0.5", "0.3"
NAMES = ("circle", "square", "triangle")
#: What the registry of npm is asked for; seconds, and no scripts that fetch from elsewhere.
NPM = ("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--silent",
       "--fetch-retries=0", "--fetch-timeout=60000", "onnxruntime-node", "onnxruntime-web", "sharp")
#: Where Debian, macOS and the makers' archives have ONNX Runtime's headers; others are named in
#: CPLUS_INCLUDE_PATH and LIBRARY_PATH, which the compiler reads too.
HEADER = "onnxruntime_cxx_api.h"
INCLUDES = tuple(map(Path, ("/usr/include", "/usr/local/include", "/opt/homebrew/include")))


def recipe(language, word):
    """Return the one block of a language that has a word in it, with the reader's threshold."""
    found = [block.text for block in blocks(DOCUMENT)
             if block.language == language and word in block.text]
    assert len(found) == 1, f"{DOCUMENT} has {len(found)} recipes in {language} with {word}"
    return found[0].replace(f">= {THRESHOLD}", f">= {LEAST}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a detector and its picture-taking file, and pictures as PNG and bare pixels."""
    made = random_deploy_model("resnet18", 3, (96, 128), overrides=Overrides(tap_strides=(8, 16)))
    args = {name: array * (0.05 if "cls_pred" in name else 1)
            for name, array in made.params.args.items()}
    source = evolve(made, params=Params(args, made.params.auxs), classes=NAMES)
    where = tmp_path_factory.mktemp("recipes")
    write_onnx(source, where / "plain.onnx")
    write_onnx(source, where / "detector.onnx", Options(input="image"))
    rng = np.random.default_rng(0)
    pictures = [np.asarray(draw_shapes((333, 201), rng)[0]),
                rng.integers(0, 256, (50, 70, 3), np.uint8)]
    pictures += [np.asarray(Image.open(file).convert("RGB"))
                 for file in sorted(PHOTOS.glob("*.jpg"))[:1]]
    for number, pixels in enumerate(pictures):
        Image.fromarray(pixels).save(where / f"{number}.png")
        Image.fromarray(pixels).save(where / f"{number}.ppm")
    return where


def pictures_of(folder):
    return sorted(folder.glob("[0-9].png"))


def same(printed, folder, picture, backend="onnxruntime"):
    """Compare lines of class, score and box with what `Detector` finds."""
    found = Detector(folder / "plain.onnx", backend).detect(picture)[0].above(float(LEAST))
    rows = [line.split() for line in printed.splitlines()]
    assert len(rows) == len(found) > 3
    assert [row[0] for row in rows] in ([*found.names], [str(label) for label in found.labels])
    numbers = np.array([row[1:] for row in rows], np.float64)
    np.testing.assert_allclose(numbers[:, 0], found.scores, rtol=0, atol=1e-3)
    # standard output of C++ has six digits, and OpenVINO adds in another order
    np.testing.assert_allclose(numbers[:, 1:], found.xyxy, rtol=0, atol=1e-2)


def run(folder, *command):
    done = subprocess.run([str(word) for word in command], cwd=folder, capture_output=True,
                          text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_python(folder, runtime):
    text = recipe(PYTHON, f"numpy as np, {runtime}")
    for picture in pictures_of(folder):
        (folder / "detect.py").write_text(text.replace("photo.jpg", picture.name))
        same(run(folder, sys.executable, "detect.py"), folder, picture, runtime)


@pytest.fixture(scope="module")
def modules(folder):
    """The folder with node's packages in it."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    done = subprocess.run(NPM, cwd=folder, capture_output=True, text=True, check=False,
                          stdin=subprocess.DEVNULL)
    if done.returncode:
        pytest.skip(f"npm cannot fetch packages: {done.stderr.strip()[-200:]}")
    return folder


@pytest.mark.network
@pytest.mark.parametrize("package", ["onnxruntime-node", "onnxruntime-web"])
def test_javascript(modules, package):
    """In WebAssembly too, as browsers run it."""
    text = recipe("js", "sharp").replace("onnxruntime-node", package)
    text = re.sub(r"const names = .*", f"const names = {list(NAMES)};", text)
    # WebAssembly takes seconds to begin
    for picture in pictures_of(modules)[:3 if package == "onnxruntime-node" else 1]:
        (modules / "detect.mjs").write_text(text.replace("photo.jpg", picture.name))
        same(run(modules, "node", "detect.mjs"), modules, picture)


@pytest.mark.network
def test_javascript_of_a_browser(modules):
    """A canvas gives four numbers a pixel; here a decoder stands in for it."""
    (modules / "detect-web.mjs").write_text(recipe("js", "ImageData"))
    picture = pictures_of(modules)[-1]
    (modules / "page.mjs").write_text(f"""
        import {{ readFileSync }} from "node:fs";
        import sharp from "sharp";
        import {{ detect, open }} from "./detect-web.mjs";
        const {{ data, info }} = await sharp("{picture.name}").ensureAlpha().raw()
          .toBuffer({{ resolveWithObject: true }});
        const session = await open(readFileSync("detector.onnx"));
        const found = await detect(session, {{ data, width: info.width, height: info.height }});
        for (const one of found.filter((one) => one.score >= {LEAST}))
          console.log(one.label, one.score, ...one.box);
    """)
    same(run(modules, "node", "page.mjs"), modules, picture)


def compile_and_compare(folder, text, name, *flags):
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    (folder / f"{name}.cpp").write_text(text.replace("photo.ppm", "current.ppm"))
    run(folder, "g++", "-std=c++17", f"{name}.cpp", "-o", name, *flags)
    for picture in pictures_of(folder):
        shutil.copy(picture.with_suffix(".ppm"), folder / "current.ppm")
        same(run(folder, folder / name), folder, picture, name)


def test_cpp_with_openvino(folder):
    package = Path(openvino.__file__).parent
    if not (package / "include" / "openvino" / "openvino.hpp").is_file():
        pytest.skip("this package of OpenVINO has no headers")
    library = next((package / "libs").glob("libopenvino.so*"), None)
    if library is None:
        pytest.skip("this package of OpenVINO has no library for this compiler")
    compile_and_compare(folder, recipe("cpp", "openvino.hpp"), "openvino",
                        f"-I{package / 'include'}", library, f"-Wl,-rpath,{library.parent}")


def test_cpp_with_onnxruntime(folder):
    places = [Path(name) for name in os.environ.get("CPLUS_INCLUDE_PATH", "").split(os.pathsep)
              if name]
    include = next((found.parent for place in (*places, *INCLUDES)
                    for found in (*place.glob(HEADER), *place.glob(f"onnxruntime/**/{HEADER}"))),
                   None)
    if include is None:
        pytest.skip(f"{HEADER} is nowhere on this machine; Python's package has no headers: name a "
                    f"folder that has them in CPLUS_INCLUDE_PATH")
    compile_and_compare(folder, recipe("cpp", HEADER), "onnxruntime", f"-I{include}",
                        "-lonnxruntime", *python_library(folder))


def python_library(folder):
    """Return the flags that link with the library in Python's package where there is no other."""
    if shutil.which("g++") is None:
        pytest.skip("g++ is not installed")
    told = run(folder, "g++", "-print-file-name=libonnxruntime.so").strip()
    if os.environ.get("LIBRARY_PATH") or Path(told).is_absolute():
        return []
    capi = Path(onnxruntime.__file__).parent / "capi"
    library = next(capi.glob("libonnxruntime.so.*"), None)
    if library is None:
        pytest.skip("there is no libonnxruntime.so, neither on this machine nor in this package "
                    "of ONNX Runtime for Python")
    # by the name that is linked, and the one that is loaded
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):
        (folder / name).symlink_to(library)
    return [f"-L{folder}", f"-Wl,-rpath,{folder}"]
