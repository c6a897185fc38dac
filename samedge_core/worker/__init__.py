"""Workers: training in processes of its own, and the registry of all live runs."""
