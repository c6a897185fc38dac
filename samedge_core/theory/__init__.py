"""Theory: edges, update rules, and landscapes on which everything is known. NumPy only."""
