"""Prediction: what a flow says a run will do. Only `flows`, `central` and `predict` need torch."""
