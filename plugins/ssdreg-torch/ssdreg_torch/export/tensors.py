"""Files of tensors in the format safetensors, with nothing but PyTorch.

A file is the length of its header (8 bytes), the header (JSON: type, shape and place of every
tensor), and the values, one tensor after the other.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

#: The types of numbers by the format's names.
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16,
         "BF16": torch.bfloat16, "I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}
#: The entry of a header that is no tensor.
METADATA = "__metadata__"


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return all tensors of a file by their names."""
    content = bytearray(Path(path).read_bytes())
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8:8 + length])
    tensors = {}
    for name, entry in header.items():
        if name != METADATA:
            begin, end = (8 + length + place for place in entry["data_offsets"])
            values = torch.frombuffer(content[begin:end], dtype=TYPES[entry["dtype"]])
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]
                  ) -> None:
    """Write tensors and a few texts to a file."""
    names = {dtype: name for name, dtype in TYPES.items()}
    header: dict[str, object] = {METADATA: dict(metadata)}
    place = 0
    for name, tensor in tensors.items():
        end = place + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape),
                        "data_offsets": [place, end]}
        place = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # values begin at a multiple of eight
    with Path(path).open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        for tensor in tensors.values():
            values = tensor.detach().cpu().contiguous()
            stream.write(bytes(values.reshape(-1).view(torch.uint8).numpy()))
