"""An OpenVINO model's files (IR), checked before OpenVINO reads them, and its metadata.

There are two files: the network's description in XML, and the weights, which the description
refers to by offset and size.
"""

from __future__ import annotations

from pathlib import Path

from ssdreg_runtime.backends.facts import PREFIX
from ssdreg_runtime.errors import ModelError
from ssdreg_runtime.system.xml_file import read_xml

#: Bound of the XML file, which has a few mebibytes; the weights are in the other file.
MAX_BYTES = 256 * 2**20


def read_metadata(file: Path) -> dict[str, str]:
    """Return the metadata of an OpenVINO model, values by key.

    Keys get the prefix that they have in an ONNX file and lack here. Raises ModelError for a file
    that is no such model, or is truncated.
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
    # OpenVINO's own converter keeps the keys of an ONNX file as they are
    metadata = {info.tag: info.get("value", "") for info in net.iterfind("rt_info/framework/*")}
    metadata.update({f"{PREFIX}{info.tag}": info.get("value", "")
                     for info in net.iterfind("rt_info/ssdreg/*")})
    return metadata
