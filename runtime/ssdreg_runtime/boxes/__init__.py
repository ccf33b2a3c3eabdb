"""Detections: arrays of boxes, one row a box."""
