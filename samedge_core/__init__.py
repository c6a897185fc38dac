"""SAMEdge: sharpness-aware minimization and the edge of stability, measured as it happens.

    import samedge_core as se
    history = se.run(se.RunConfig(problem="digits-mlp", rule="sam", eta=1.0, rho=0.05, steps=200))
    history.to_frame()
    runs = se.open_runs()  # what is recorded, on the pages and by the command line too

The public names stand in `__init__.pyi`, by the module that defines each. Every one is imported on
first use, so importing this package loads neither torch nor the database.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
