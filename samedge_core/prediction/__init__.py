"""Prediction: what a flow says a run will do. Only `flows` and `predict` need torch."""
