"""Sharing: a run as a link, a replay file, a script, a report, a notebook, a table or a TensorBoard log."""
