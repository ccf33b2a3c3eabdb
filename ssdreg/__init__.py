"""SSD object detectors on Apache MXNet, with any backbone, as plug-ins.

    import ssdreg
    ssdreg.plan("resnet101").from_layers  # the ends of stages 3 and 4, and four levels behind
    symbol = ssdreg.build("resnet101", num_classes=20, data_shape=300)

    run = ssdreg.train(backbone="resnet18", data="DIR", out="runs/first").run
    print(ssdreg.evaluate(run.path).text())

Importing ssdreg does not import MXNet; the first symbol does. What a command does, the function of
its name does; none prints, see `ssdreg.progress`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from ssdreg._version import __version__
from ssdreg.errors import (
    AuditError,
    BenchError,
    CacheError,
    CheckpointWarning,
    ClusterError,
    ConformanceError,
    DataError,
    DependencyError,
    DetectorWarning,
    DivergedError,
    ExportError,
    InputShapeError,
    Interrupted,
    LaunchError,
    ModelError,
    NewPluginError,
    PlanError,
    PluginError,
    PluginWarning,
    RunError,
    SsdregError,
    SsdregWarning,
    StorageError,
    TapError,
    UnexaminedError,
    UnknownNameError,
    WeightsError,
)
from ssdreg.registry.backbone import Backbone, Extra, Preset, StopsAt, Tap
from ssdreg.registry.data_format import DataFormat
from ssdreg.registry.detector_weights import DetectorWeights
from ssdreg.registry.engine import Engine
from ssdreg.registry.head import Head, PlanDefaults, Predictions
from ssdreg.registry.hookspecs import hookimpl
from ssdreg.registry.host import register
from ssdreg.registry.names import (
    get_backbone,
    get_data_format,
    get_detector,
    get_engine,
    get_head,
    list_backbones,
    list_data_formats,
    list_detectors,
    list_engines,
    list_heads,
    list_weights,
)
from ssdreg.registry.preprocessing import Preprocessing
from ssdreg.registry.weights import Weights

if TYPE_CHECKING:
    from ssdreg_runtime.boxes.detections import Detections

    from ssdreg.auditing.audit import audit
    from ssdreg.auditing.audited import Audit
    from ssdreg.bench.benchmark import benchmark
    from ssdreg.bench.figures import Figures
    from ssdreg.checkpoints import load_checkpoint
    from ssdreg.checkup.doctor import doctor
    from ssdreg.checkup.finding import Examination, Finding
    from ssdreg.cli.progress import Console
    from ssdreg.data.augmentation import Augmentation
    from ssdreg.data.issues import DataIssue, DataIssues
    from ssdreg.detector.build import assemble, build, plan
    from ssdreg.detector.declaration import verify_backbone
    from ssdreg.detector.plan import Level, Plan
    from ssdreg.evaluation.evaluate import DetectorEvaluation, evaluate
    from ssdreg.exporting.export import Exported, export
    from ssdreg.graph.stages import StageEnd
    from ssdreg.graph.taps import Verification, find_taps, verify
    from ssdreg.inference.detector import Detector
    from ssdreg.metrics.voc import Evaluation
    from ssdreg.progress import Note, Work
    from ssdreg.quantization.quantize import quantize
    from ssdreg.quantization.report import QuantizationReport
    from ssdreg.runs.log import Epoch
    from ssdreg.runs.run import Run
    from ssdreg.training.options import TrainOptions
    from ssdreg.training.progress import Step
    from ssdreg.training.train import TrainingResult, resume, train
    from ssdreg.tuning.result import Tuning
    from ssdreg.tuning.tune import resume_tuning, tune
    from ssdreg.weights.loading import load_weights

#: What is imported when it is first asked for: a plug-in declares and `ssdreg list` lists without.
_LATER = {
    "Audit": "ssdreg.auditing.audited",
    "Augmentation": "ssdreg.data.augmentation",
    "Console": "ssdreg.cli.progress",
    "DataIssue": "ssdreg.data.issues",
    "DataIssues": "ssdreg.data.issues",
    "Detections": "ssdreg_runtime.boxes.detections",
    "Detector": "ssdreg.inference.detector",
    "DetectorEvaluation": "ssdreg.evaluation.evaluate",
    "Epoch": "ssdreg.runs.log",
    "Evaluation": "ssdreg.metrics.voc",
    "Examination": "ssdreg.checkup.finding",
    "Exported": "ssdreg.exporting.export",
    "Figures": "ssdreg.bench.figures",
    "Finding": "ssdreg.checkup.finding",
    "Level": "ssdreg.detector.plan",
    "Note": "ssdreg.progress",
    "Plan": "ssdreg.detector.plan",
    "QuantizationReport": "ssdreg.quantization.report",
    "Run": "ssdreg.runs.run",
    "StageEnd": "ssdreg.graph.stages",
    "Step": "ssdreg.training.progress",
    "TrainOptions": "ssdreg.training.options",
    "TrainingResult": "ssdreg.training.train",
    "Tuning": "ssdreg.tuning.result",
    "Verification": "ssdreg.graph.taps",
    "Work": "ssdreg.progress",
    "assemble": "ssdreg.detector.build",
    "audit": "ssdreg.auditing.audit",
    "benchmark": "ssdreg.bench.benchmark",
    "build": "ssdreg.detector.build",
    "doctor": "ssdreg.checkup.doctor",
    "evaluate": "ssdreg.evaluation.evaluate",
    "export": "ssdreg.exporting.export",
    "find_taps": "ssdreg.graph.taps",
    "load_checkpoint": "ssdreg.checkpoints",
    "load_weights": "ssdreg.weights.loading",
    "plan": "ssdreg.detector.build",
    "quantize": "ssdreg.quantization.quantize",
    "resume": "ssdreg.training.train",
    "resume_tuning": "ssdreg.tuning.tune",
    "train": "ssdreg.training.train",
    "tune": "ssdreg.tuning.tune",
    "verify": "ssdreg.graph.taps",
    "verify_backbone": "ssdreg.detector.declaration",
}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module 'ssdreg' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATER})


__all__ = [
    "Audit", "AuditError", "Augmentation", "Backbone", "BenchError", "CacheError",
    "CheckpointWarning", "ClusterError", "ConformanceError", "Console", "DataError", "DataFormat",
    "DataIssue",
    "DataIssues", "DependencyError", "Detections", "Detector", "DetectorEvaluation",
    "DetectorWarning", "DetectorWeights", "DivergedError", "Engine", "Epoch", "Evaluation",
    "Examination", "ExportError", "Exported", "Extra", "Figures", "Finding", "Head",
    "InputShapeError", "Interrupted", "LaunchError", "Level", "ModelError", "NewPluginError",
    "Note", "Plan", "PlanDefaults", "PlanError", "PluginError", "PluginWarning", "Predictions",
    "Preprocessing", "Preset", "QuantizationReport", "Run", "RunError", "SsdregError",
    "SsdregWarning", "StageEnd", "Step", "StopsAt", "StorageError", "Tap", "TapError",
    "TrainOptions", "TrainingResult", "Tuning", "UnexaminedError", "UnknownNameError",
    "Verification", "Weights", "WeightsError", "Work", "__version__", "assemble", "audit",
    "benchmark", "build", "doctor", "evaluate", "export", "find_taps", "get_backbone",
    "get_data_format", "get_detector", "get_engine", "get_head", "hookimpl", "list_backbones",
    "list_data_formats", "list_detectors", "list_engines", "list_heads", "list_weights",
    "load_checkpoint", "load_weights", "plan", "quantize", "register", "resume", "resume_tuning",
    "train", "tune", "verify", "verify_backbone",
]
