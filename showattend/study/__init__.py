"""The study of cells: which of them caption better under one budget, and over which distance they remember."""
