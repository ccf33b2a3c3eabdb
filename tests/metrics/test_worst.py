from __future__ import annotations

from support.compared import one_image, random_comparison

from ssdreg.metrics.comparison import Comparison
from ssdreg.metrics.confusion import measure_confusion
from ssdreg.metrics.worst import ImageErrors, rank_images

A, B, AWAY = (10, 10, 50, 50), (60, 10, 90, 40), (60, 60, 90, 90)


def test_images_with_most_errors_come_first():
    images = [one_image(detections, [(0, *A), (1, *B)]).images[0] for detections in (
        [(0, 0.9, *A), (1, 0.9, *B)],
        [(0, 0.9, *A), (1, 0.4, *B)],
        [(1, 0.9, *A), (0, 0.9, *AWAY)],
        [(0, 0.9, *A)])]
    assert rank_images(Comparison(("a", "b"), tuple(images)), 0.5) == (
        ImageErrors(2, missed=1, confused=1, background=1),
        ImageErrors(1, missed=1, confused=0, background=0),
        ImageErrors(3, missed=1, confused=0, background=0))


def test_errors_add_up_to_the_confusion_matrix():
    for seed in range(10):
        comparison = random_comparison(seed)
        ranked = rank_images(comparison, 0.3)
        matrix = measure_confusion(comparison, 0.3).matrix
        assert sum(each.errors for each in ranked) == matrix.sum() - matrix.trace()
        assert [each.errors for each in ranked] == sorted(
            (each.errors for each in ranked), reverse=True)
