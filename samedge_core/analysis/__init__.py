"""Analysis: what a history says, as one row, in words and in comparisons."""
