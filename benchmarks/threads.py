"""How much the thread count that ssdreg sets brings: training steps with and without, side by side.

    python benchmarks/threads.py [ROUNDS]

Each round runs two processes in turn on the same work, a training step of resnet18 at 128x128:
one keeps the number of threads MXNet would start by itself, the other the number ssdreg sets.
Printed are the median times and the median of the ratios round by round, because machines drift.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys

STEPS, BATCH, SIDE = 6, 16, 128

WORK = f"""
import json, os, sys, time
import ssdreg.mx
if sys.argv[1] == "plain":
    # what MXNet does by itself: half of the processors, taken for hyper-threads
    assert ssdreg.mx.threads.count == max(1, os.cpu_count() // 2)
from ssdreg.mx import mx
import numpy as np, ssdreg
symbol = ssdreg.build("resnet18", 3, {SIDE})
module = mx.mod.Module(mx.sym.Group([symbol[i] for i in range(3)]), ("data",), ("label",))
module.bind([("data", ({BATCH}, 3, {SIDE}, {SIDE}))], [("label", ({BATCH}, 4, 6))])
module.init_params(mx.init.Xavier())
module.init_optimizer(optimizer="sgd", optimizer_params={{"learning_rate": 1e-4}})
label = -np.ones(({BATCH}, 4, 6), "float32")
label[:, 0] = 0, .2, .2, .6, .7, 0
data = np.random.RandomState(0).uniform(-100, 100, ({BATCH}, 3, {SIDE}, {SIDE}))
batch = mx.io.DataBatch([mx.nd.array(data)], [mx.nd.array(label)])
times = []
for _ in range({STEPS}):
    began = time.perf_counter()
    module.forward_backward(batch)
    module.update()
    mx.nd.waitall()
    times.append(time.perf_counter() - began)
print(json.dumps(sorted(times)[len(times) // 2]))
"""


def measure(kind: str) -> float:
    """Return the median seconds of a training step in a process of its own."""
    environ = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if kind == "plain":
        environ["OMP_NUM_THREADS"] = str(max(1, (os.cpu_count() or 1) // 2))
    done = subprocess.run([sys.executable, "-c", WORK, kind], env=environ, check=True,
                          capture_output=True, encoding="utf-8")
    return float(json.loads(done.stdout))


def main() -> None:
    """Run the rounds and print medians and the ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    pairs = [(measure("plain"), measure("ssdreg")) for _ in range(rounds)]
    plain, ours = (statistics.median(side) for side in zip(*pairs))
    ratios = [before / after for before, after in pairs]
    print(f"a training step of {BATCH} images: {plain:.3f} s with MXNet's own thread count, "
          f"{ours:.3f} s with ssdreg's")
    print(f"ratio, median of {rounds} rounds: {statistics.median(ratios):.2f} "
          f"({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
