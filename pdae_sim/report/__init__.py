"""Figures that return figures, and one self-contained HTML page. No paths, no printing, no pyplot."""
