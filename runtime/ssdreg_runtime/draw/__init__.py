"""Boxes, labels and legends drawn into pictures."""
