"""The stage: studies as declarations, with their figures, paths and words."""
