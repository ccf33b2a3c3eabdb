"""MXNet's operators by what they do, under every name that a symbol may have them."""

from __future__ import annotations

#: Work on each value alone: a merge of nothing but these is an activation (x * sigmoid(x)), not
#: the end of a block. Conversions of mixed precision do too.
ELEMENTWISE = {
    "Activation", "LeakyReLU", "clip", "sigmoid", "hard_sigmoid", "relu", "tanh", "softsign",
    "Dropout", "Cast", "cast", "amp_cast", "amp_multicast", "identity", "_copy", "BlockGrad",
    "erf", "exp", "sqrt", "square",
}
CONVOLUTIONS = {"Convolution", "Convolution_v1", "_contrib_DeformableConvolution",
                "_contrib_ModulatedDeformableConvolution"}
#: Multiply with weights.
WEIGHTED = CONVOLUTIONS | {"FullyConnected", "Deconvolution"}
POOLINGS = {"Pooling", "Pooling_v1"}
RESIZERS = {"Deconvolution", "UpSampling", "_contrib_BilinearResize2D"}
PADDINGS = {"Pad", "pad"}
#: Cut cells off a map, at its sides or every second one (`slice` with a step).
CROPS = {"slice", "crop", "slice_axis", "slice_like", "Crop"}
#: A product scales one branch by another (squeeze-and-excitation); it ends no block.
PRODUCTS = {"elemwise_mul", "_mul", "_Mul", "broadcast_mul"}
SOFTMAXES = {"SoftmaxOutput", "Softmax", "SoftmaxActivation", "softmax"}
BATCH_NORM = "BatchNorm"
#: oneDNN computes them in the blocks of channels that they are given.
DATA_LAYOUT_KEEPERS = {*POOLINGS, BATCH_NORM, "Activation", "LeakyReLU", "elemwise_add", "_Plus",
                       "add_n", "Concat", "LRN", "_copy", "identity"}

#: SSD's own, which were no part of MXNet at first.
MULTIBOX = ("MultiBoxPrior", "MultiBoxTarget", "MultiBoxDetection")
PRIOR, TARGET, DETECTION = (f"_contrib_{name}" for name in MULTIBOX)


def is_scalar(op: str) -> bool:
    """Tell whether an operator is one with a number: ``x / 6``."""
    return op.endswith("_scalar")
