"""A server as it is written in an afternoon: a FastAPI handler around ONNX Runtime.

    python benchmarks/serve_plain.py MODEL.onnx PORT THREADS

It takes what `benchmarks/serve.py` sends, a picture as the body, resizes it with Pillow, and
answers with the objects of a score of 0.5 or more. There are no bounds, and no batches.
"""

from __future__ import annotations

import io
import json
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, Request
from PIL import Image
from starlette.concurrency import run_in_threadpool


def main() -> None:
    """Serve until the process is ended."""
    model, port, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    facts = session.get_modelmeta().custom_metadata_map
    classes = json.loads(facts["ssdreg_classes"])
    height, width = json.loads(facts["ssdreg_data_shape"])
    app = FastAPI()

    def detect(content: bytes) -> list[dict[str, object]]:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        pixels = np.asarray(image.resize((width, height)))[None]
        rows = session.run(None, {"images": pixels})[0][0]
        scale = np.array(image.size * 2)
        return [{"class": classes[int(row[0])], "score": float(row[1]),
                 "box": (row[2:] * scale).tolist()}
                for row in rows if row[0] >= 0 and row[1] >= 0.5]

    @app.post("/detect")
    async def answer(request: Request) -> list[dict[str, object]]:
        return await run_in_threadpool(detect, await request.body())

    uvicorn.run(app, port=port, log_level="warning")


if __name__ == "__main__":
    main()
