"""Estimated against true latents: alignment, nested maps, effects, joint Procrustes, class of identifiability."""
