"""Analysis: what a history says, as one row, in words, in comparisons and in figures."""
