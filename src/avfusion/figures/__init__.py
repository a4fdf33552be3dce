"""Figures, all in one style: of a clip, of several, of answers, of curves and of comparisons."""
