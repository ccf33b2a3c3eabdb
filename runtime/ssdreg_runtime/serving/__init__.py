"""The server: detection over HTTP, with batches that requests share."""
