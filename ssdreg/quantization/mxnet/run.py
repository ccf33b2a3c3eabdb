"""The folder of a run that was quantised.

It is that of any run, so that everything reads it that detects, with three differences: it has one
epoch, no training symbol, since nothing can be learnt through 8 bits, and `FILE`, which says what
it was made from.
"""

from __future__ import annotations

from pathlib import Path

from ssdreg_runtime.system.files import replacing_folder, write_json

from ssdreg._version import __version__
from ssdreg.deploy.model import DeployModel
from ssdreg.deploy.mxnet_backend import facts_of
from ssdreg.errors import RunError
from ssdreg.runs.checksums import note
from ssdreg.runs.params import write_params
from ssdreg.runs.run import PREFIX, create_run

#: The file that marks a run as quantised.
FILE = "quantised.json"
_EPOCH = 1


def write_run(source: DeployModel, folder: Path) -> None:
    """Write a source as the folder of a run, whole or not at all.

    A folder that this has written before is replaced. Raises RunError for any other that is there.
    """
    refuse_folder(folder)
    with replacing_folder(folder.absolute()) as beside:
        run = create_run(beside, source.classes, source.plan, source.symbol, source.symbol)
        (run.path / f"{PREFIX}-symbol.json").unlink()
        write_params(run.params_file(_EPOCH), source.params)
        note(run.path, run.params_file(_EPOCH).name)
        write_json(run.path / FILE, {
            "ssdreg": __version__, "precision": facts_of(source).precision, "from": source.name,
            "note": "this run detects and cannot be trained: train the one it was made from"})


def refuse_folder(folder: Path) -> None:
    """Raise RunError when there is something that is not a run that was quantised."""
    if folder.exists() and not (folder / FILE).is_file():
        raise RunError(f"{folder} is there already and was not written by `ssdreg quantize`: "
                       f"choose another --out, or delete it")
