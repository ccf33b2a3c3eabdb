"""To start from: a plug-in written from templates, and a demonstration of the whole pipeline."""
