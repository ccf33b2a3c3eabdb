"""The formats of data sets that come with ssdreg: a plug-in like any other, a module for each."""

from __future__ import annotations

from collections.abc import Iterator

from ssdreg.registry.data_format import DataFormat
from ssdreg.registry.hookspecs import hookimpl


def _own(name: str, summary: str, module: str) -> DataFormat:
    recognize, splits, read = (f"{__name__}.{module}:{function}"
                               for function in ("recognize", "splits", "read"))
    return DataFormat(name=name, summary=summary, recognize=recognize, splits=splits, read=read,
                      sample=f"{__name__}.samples:{name}")


#: In the order in which they are named.
FORMATS = (
    _own("voc", "PASCAL VOC: an XML file a picture, in JPEGImages and Annotations or any two "
                "folders", "voc"),
    _own("coco", "COCO: JSON files with images, annotations and categories", "coco"),
    _own("yolo", "YOLO: a text file a picture, with classes in data.yaml", "yolo"),
    _own("csv", "a table with a box a line", "csv_table"),
    _own("labelme", "LabelMe: a JSON file a picture, with shapes", "labelme"),
    _own("cvat", "CVAT for images 1.1: one XML file", "cvat"),
    _own("manifest", "SageMaker's augmented manifest: JSON lines", "manifest"),
    _own("sagemaker", "SageMaker's image format: a JSON file a picture", "sagemaker"),
)


@hookimpl
def ssdreg_datasets() -> Iterator[DataFormat]:
    """Declare the formats."""
    yield from FORMATS
