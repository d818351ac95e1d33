"""Claims 3.5 to 3.9: what the losses of the perturbation autoencoder are least at.

| module | claim |
|---|---|
| `loss` | 3.5, the population loss |
| `loss_within` | 3.6, pairs within environments alone |
| `classifier` | 3.7, a classifier between environments |
| `classifier_form` | 3.8, logits that are linear in a learned latent |
| `loss_batches` | 3.9, how the pairs of a batch are weighed |
"""
