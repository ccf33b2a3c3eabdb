"""A model of OpenVINO's own seen from outside: is it whole, and what does it say of itself?

It is two files: a description in XML, and the weights, which the description tells places in.
"""

from __future__ import annotations

from pathlib import Path

from ssdreg_runtime.backends.facts import PREFIX
from ssdreg_runtime.errors import ModelError
from ssdreg_runtime.system.xml_file import read_xml

#: A description has a few mebibytes; the weights lie beside it.
MAX_BYTES = 256 * 2**20


def read_metadata(file: Path) -> dict[str, str]:
    """Return what the file says of itself; raise ModelError when it is none, or truncated.

    The keys have the prefix that an ONNX file's have, which these files leave out.
    """
    weights = file.with_suffix(".bin")
    if not weights.is_file():
        raise ModelError(f"{weights} is not there, which holds the weights of {file}: keep both "
                         f"files together")
    try:
        net = read_xml(file, MAX_BYTES)
        ends = [int(data.get("offset", 0)) + int(data.get("size", 0))
                for data in net.iterfind("layers/layer/data")]
    except ValueError as error:
        raise ModelError(f"{file} is no model of OpenVINO, or it is truncated: fetch or write it "
                         f"again") from error
    if net.tag != "net" or not ends:
        raise ModelError(f"{file} is no model of OpenVINO: its XML describes no network")
    size = weights.stat().st_size
    if max(ends) > size:
        raise ModelError(f"{weights} is truncated, or belongs to another file than {file}: it has "
                         f"{size} bytes of {max(ends)}; fetch or write both again")
    # what was converted from an ONNX file by OpenVINO's own tools keeps its keys as they were
    found = {info.tag: info.get("value", "") for info in net.iterfind("rt_info/framework/*")}
    found.update({f"{PREFIX}{info.tag}": info.get("value", "")
                  for info in net.iterfind("rt_info/ssdreg/*")})
    return found
