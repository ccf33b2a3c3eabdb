"""The same detector in BentoML, with its adaptive batching, for `benchmarks/serve.py`.

The environment names the model (SERVE_MODEL), the threads (SERVE_THREADS) and the largest batch
(SERVE_BATCH). It takes a picture as the body at ``/detect``; decoding and batches are as BentoML's
own examples have them: a service that decodes asks one that runs the network.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import ContentType
from PIL import Image

THREADS, BATCH = int(os.environ["SERVE_THREADS"]), int(os.environ["SERVE_BATCH"])


@bentoml.service(traffic={"timeout": 60, "max_concurrency": 512})
class Detector:
    """Runs the network in batches of whatever came meanwhile."""

    def __init__(self) -> None:
        import onnxruntime
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        self.session = onnxruntime.InferenceSession(os.environ["SERVE_MODEL"], options,
                                                    providers=["CPUExecutionProvider"])
        facts = self.session.get_modelmeta().custom_metadata_map
        self.classes = json.loads(facts["ssdreg_classes"])
        self.height, self.width = json.loads(facts["ssdreg_data_shape"])

    @bentoml.api(batchable=True, max_batch_size=BATCH, max_latency_ms=60_000)
    def run(self, images: np.ndarray) -> np.ndarray:
        """Detect in pictures of the network's size, (B, H, W, 3) uint8."""
        return self.session.run(None, {"images": images})[0]


@bentoml.service(traffic={"timeout": 60, "max_concurrency": 512})
class Server:
    """Decodes, asks the network, and answers."""

    detector = bentoml.depends(Detector)

    def __init__(self) -> None:
        import onnx
        model = onnx.load(os.environ["SERVE_MODEL"], load_external_data=False)
        facts = {each.key: json.loads(each.value) for each in model.metadata_props
                 if each.key in ("ssdreg_classes", "ssdreg_data_shape")}
        self.classes, (self.height, self.width) = (facts["ssdreg_classes"],
                                                   facts["ssdreg_data_shape"])

    @bentoml.api(route="/detect")
    async def detect(self, image: Annotated[Path, ContentType("image/jpeg")], /
                     ) -> list[dict[str, object]]:
        """Answer with the objects of a score of 0.5 or more."""
        picture = Image.open(io.BytesIO(image.read_bytes())).convert("RGB")
        pixels = np.asarray(picture.resize((self.width, self.height)))[None]
        rows = (await self.detector.to_async.run(pixels))[0]
        scale = np.array(picture.size * 2)
        return [{"class": self.classes[int(row[0])], "score": float(row[1]),
                 "box": (row[2:] * scale).tolist()}
                for row in rows if row[0] >= 0 and row[1] >= 0.5]
