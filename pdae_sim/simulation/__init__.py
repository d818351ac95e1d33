"""Worlds whose every law is known: graphs, linear latent models, mixings, observation, the simulator."""
