"""Out of ssdreg: a detector as a folder that needs PyTorch alone.

    from ssdreg_torch.export import write
    write(model, training_symbol, folder)

Importing this imports neither PyTorch nor MXNet.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ssdreg.errors import DependencyError

if TYPE_CHECKING:
    from ssdreg.deploy.model import DeployModel
    from ssdreg.mx import mx

DETECTOR, PARAMETERS, README = "detector.py", "model.safetensors", "README.md"


def write(model: DeployModel, training_symbol: mx.sym.Symbol, folder: Path) -> None:
    """Write a detector to a folder that is there and empty.

    - ``detector.py``: the network as a module of PyTorch, its detections and losses
    - ``model.safetensors``: its parameters and running moments
    - ``README.md``: how to load it, to detect and to fine-tune

    Raises ExportError, naming operator and node, before anything is written.
    """
    from ssdreg._version import __version__
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise DependencyError(f"--format torch writes tensors, and PyTorch cannot be imported "
                              f"({error}): run `pip install torch`") from error
    from ssdreg_torch.export.network import write_network
    from ssdreg_torch.export.page import detector_file, readme_file
    from ssdreg_torch.export.tensors import write_tensors
    from ssdreg_torch.params import read
    network = write_network(model, training_symbol, read(model.params))
    text = detector_file(model, network)
    compile(text, DETECTOR, "exec")
    write_tensors(folder / PARAMETERS, network.tensors,
                  {"format": "pt", "ssdreg_version": __version__})
    (folder / DETECTOR).write_text(text, encoding="utf-8")
    (folder / README).write_text(readme_file(model, network), encoding="utf-8")
