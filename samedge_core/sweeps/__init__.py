"""Sweeps: grids of runs over one or two settings, their engine on Dask, and their results."""
