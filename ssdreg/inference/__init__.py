"""Detectors: images in, detections out, on any backend."""
