"""How good detections are, in numbers."""
