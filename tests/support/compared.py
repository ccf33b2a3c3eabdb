"""Random and hand-made sets of detections and ground truths."""

from __future__ import annotations

import numpy as np

from ssdreg.metrics.comparison import compare

NAMES = ("circle", "square", "triangle", "star", "moon", "sun")


def random_comparison(seed, images=12, classes=4, most_objects=9, most_detections=60, digits=2,
                      difficult=0.15):
    """Boxes of all sizes; detections about objects, many of them moved, of another class or twice.

    With few `digits`, scores are often equal.
    """
    random = np.random.default_rng(seed)
    boxes, sizes = [], []
    for _ in range(images):
        width, height = (int(side) for side in random.integers(60, 640, 2))
        count = int(random.integers(0, most_objects + 1))
        corners = random.uniform(0, 0.8, (count, 2))
        sides = np.exp(random.uniform(np.log(0.02), np.log(0.7), (count, 2)))
        labels = random.integers(0, classes, count)
        truths = np.column_stack([labels, corners, corners + sides,
                                  random.random(count) < difficult])
        found = int(random.integers(0, most_detections + 1))
        if count:
            about = random.integers(0, count, found)
            boxed = np.column_stack([corners, corners + sides])[about]
            boxed += random.normal(0, 1, (found, 4)) * np.tile(sides[about], 2) * random.choice(
                [0.02, 0.1, 0.4], (found, 1))
            boxed = np.column_stack([np.minimum(boxed[:, :2], boxed[:, 2:] - 0.001), boxed[:, 2:]])
            named = np.where(random.random(found) < 0.75, labels[about],
                             random.integers(0, classes, found))
        else:
            boxed = np.column_stack([random.uniform(0, 0.4, (found, 2)),
                                     random.uniform(0.5, 1, (found, 2))])
            named = random.integers(0, classes, found)
        scores = np.round(random.random(found), digits)
        boxes.append((np.column_stack([named, scores, boxed]), truths))
        sizes.append((width, height))
    return compare(boxes, sizes, NAMES[:classes])


def one_image(detections, truths, classes=2, side=100):
    """One image of 100 pixels, its boxes in pixels: label, score, box and label, box[, difficult].
    """
    def shares(rows, first):
        return [(*row[:first], *(edge / side for edge in row[first:first + 4]), *row[first + 4:])
                for row in rows]
    return compare([(shares(detections, 2), shares(truths, 1))], [(side, side)], NAMES[:classes])
