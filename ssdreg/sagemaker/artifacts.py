"""What a job leaves in its model folder, which SageMaker packs into model.tar.gz.

The files of the built-in algorithm by its names, which its clients and `ssdreg import` read, and a
detector as ONNX, which is served and has the names of the classes. The built-in algorithm's network
takes pixels from 0 to 255, and so does the one written here: its normalisation is inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import evolve
from ssdreg_runtime.system.files import write_json

from ssdreg.checkpoints.files import HYPERPARAMETERS
from ssdreg.exporting.export import export
from ssdreg.graph.attributes import Attributes
from ssdreg.graph.nodes import DATA, VARIABLE, Net, Node
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.runs.params import Params, write_params
from ssdreg.runs.run import PREFIX, Run, save_symbol

if TYPE_CHECKING:
    from ssdreg.mx import mx

#: The built-in algorithm's files; it writes its best epoch as number 0.
SYMBOL, PARAMS = "model_algo_1-symbol.json", "model_algo_1-0000.params"
ONNX = "model.onnx"
#: The parameters of the normalisation.
MEAN, DEVIATION = "pixel_mean", "pixel_deviation"
_OF_PLANES = (1, 3, 1, 1)


def write_model(run: Run, hyperparameters: Mapping[str, str], folder: Path) -> None:
    """Write the best epoch of a run; each file is whole or not there.

    `hyperparameters` are all of the job's, as text.
    """
    folder.mkdir(parents=True, exist_ok=True)
    export(run.path, out=folder / ONNX, batch_size=None)
    symbol, params = with_normalisation(run.load_symbol(PREFIX), run.load_params(),
                                        run.plan.preprocessing)
    write_params(folder / PARAMS, params)
    write_json(folder / HYPERPARAMETERS, dict(hyperparameters))
    # last, because it is what makes a folder a checkpoint
    save_symbol(folder / SYMBOL, symbol)


def with_normalisation(symbol: mx.sym.Symbol, params: Params, preprocessing: Preprocessing
                       ) -> tuple[mx.sym.Symbol, Params]:
    """Put the normalisation into a network, behind its input of (B, 3, H, W), and return both.

    The operators that do it are as old as the built-in algorithm's MXNet.
    """
    from ssdreg.mx import mx
    steps = [(name, operator, values) for name, operator, values, neutral in (
        (MEAN, "broadcast_sub", preprocessing.mean, 0.0),
        (DEVIATION, "broadcast_div", preprocessing.std, 1.0)) if set(values) != {neutral}]
    if not steps:
        return symbol, params
    net = Net.of(symbol)
    begin = next(index for index in net.find(VARIABLE) if net.name(index) == DATA)
    nodes: list[Node] = []
    end = (begin, 0)
    for name, operator, _ in steps:
        place = len(net.nodes) + len(nodes)
        nodes += [Node(VARIABLE, name, Attributes({"__shape__": str(_OF_PLANES),
                                                   "__lr_mult__": "0", "__wd_mult__": "0"})),
                  Node(operator, f"{name}_applied", inputs=(end, (place, 0)))]
        end = (place + 1, 0)
    behind = net.rewired({(begin, 0): end})
    whole = evolve(behind, nodes=(*behind.nodes, *nodes))
    constants = {name: mx.nd.array(values).reshape(_OF_PLANES) for name, _, values in steps}
    return whole.ordered(*whole.heads).symbol(), Params({**params.args, **constants}, params.auxs)
