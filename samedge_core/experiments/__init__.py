"""Experiments: settings worth running, alone and side by side, and lessons made of them."""
