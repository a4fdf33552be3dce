"""Figures, all in one style: of clips, of predictions, of curves and of comparisons."""
