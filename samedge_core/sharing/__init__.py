"""Sharing: a run as a link, replay file, script, report, notebook, table or TensorBoard log."""
