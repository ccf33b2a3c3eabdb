"""Write ``tests/reference/torch``: small files as PyTorch itself saves them, read without it.

They hold tensors of every type, layout and wrapping that published weights come in; what is in
them follows from `expected`, without PyTorch. To make them again, with PyTorch installed::

    python tests/support/make_torch_files.py
"""

from __future__ import annotations

import numpy as np
from support import paths

FOLDER = paths.TESTS / "reference" / "torch"

#: Both of PyTorch's ways to save a file.
ARCHIVE, PLAIN = FOLDER / "archive.pth", FOLDER / "plain.pth"
#: A training script's checkpoint, with the weights of a model on several devices.
TRAINING = FOLDER / "training.pth"

TYPES = ("float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def expected():
    """Return what the archive and the plain file hold."""
    base = np.arange(24, dtype="float32").reshape(2, 3, 4) / 8
    return {
        **{name: np.arange(3).astype(name) for name in TYPES},
        # halves and eighths have the same value in the eight bits that bfloat16 keeps
        "bfloat16": np.arange(-2, 3).astype("float32") / 2,
        "transposed": base.transpose(2, 0, 1),
        "inside": base[1:, 1:],
        "whole": base,
        "expanded": np.repeat(np.float32([[1.5, -2]]), 3, axis=0),
        "parameter": np.eye(2, dtype="float32"),
        "empty": np.zeros((0, 3), "float32"),
        "scalar": np.array(7),
    }


def trained():
    """Return the weights that the checkpoint of a training script holds."""
    return {"0.weight": np.arange(8, dtype="float32").reshape(2, 4),
            "0.bias": np.float32([0.5, -0.5]), "1.weight": np.ones(2, "float32"),
            "1.bias": np.zeros(2, "float32"), "1.running_mean": np.zeros(2, "float32"),
            "1.running_var": np.ones(2, "float32"), "1.num_batches_tracked": np.array(0)}


def main():
    import torch
    base = torch.arange(24.).reshape(2, 3, 4) / 8
    tensors = {name: torch.from_numpy(np.ascontiguousarray(value))
               for name, value in expected().items()}
    tensors.update(
        scalar=torch.tensor(7), bfloat16=(torch.arange(-2, 3) / 2).bfloat16(), whole=base,
        transposed=base.permute(2, 0, 1), inside=base[1:, 1:],
        expanded=torch.tensor([[1.5, -2]]).expand(3, 2),
        parameter=torch.nn.Parameter(tensors["parameter"]))
    FOLDER.mkdir(exist_ok=True)
    torch.save(tensors, ARCHIVE)
    torch.save(tensors, PLAIN, _use_new_zipfile_serialization=False)
    model = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.BatchNorm1d(2))
    model.load_state_dict({name: torch.tensor(value) for name, value in trained().items()})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    torch.save({"epoch": 3, "best": 0.5, "optimizer": optimizer.state_dict(),
                "state_dict": torch.nn.DataParallel(model).state_dict()}, TRAINING)


if __name__ == "__main__":
    main()
