"""COCO's categories by their numbers, as torchvision's detectors have them.

COCO numbers 90 categories, of which 80 have objects. The predictors have a row for each number;
those of the ten others never learnt an object, and are called by their numbers here.
"""

from __future__ import annotations

#: The categories in their order; empty where a number has no objects.
_BY_NUMBER = (
    "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "", "stop sign", "parking meter", "bench", "bird", "cat",
    "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe", "", "backpack",
    "umbrella", "", "", "handbag", "tie", "suitcase", "frisbee", "skis", "snowboard",
    "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "", "wine glass", "cup", "fork", "knife", "spoon", "bowl",
    "banana", "apple", "sandwich", "orange", "broccoli", "carrot", "hot dog", "pizza", "donut",
    "cake", "chair", "couch", "potted plant", "bed", "", "dining table", "", "", "toilet", "",
    "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven", "toaster",
    "sink", "refrigerator", "", "book", "clock", "vase", "scissors", "teddy bear", "hair drier",
    "toothbrush")

#: What is detected, in the order of the predictors.
CLASSES = tuple(name or f"unused {number}" for number, name in enumerate(_BY_NUMBER, start=1))
