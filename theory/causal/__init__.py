"""Claims 1 to 1.2: the linear latent causal model, and what shift interventions say of its graph.

| module | claim |
|---|---|
| `latent_causal` | 1, shift interventions are additive shifts |
| `graphs` | 1.1, with a free mixing every acyclic graph fits |
| `graph_targets` | 1.2, one known target for each latent gives the graph |
"""
