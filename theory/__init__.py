"""The claims about the additive-shift model as executable records, independent of the library that relies on them.

Each chapter is one module with one `CLAIM`, or `CLAIMS`: assumptions, a proof whose steps are checked symbolically or
stated as lemmas, a numerical check on random instances, and for each assumption a model in which its absence breaks the
claim.
Everything is computed from sympy, numpy and scipy alone, so that agreement with the library is news. The exact answers
that tests compare against are in `theory.extrapolation`, `theory.converse`, `theory.latent_causal`, `theory.verdicts`,
`theory.noise_gain` and `theory.efficiency`.

    python -m theory list
    python -m theory check [NAME ...] [--json]
"""
