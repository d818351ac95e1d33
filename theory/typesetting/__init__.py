"""What makes the records readable.

| module | what it offers |
|---|---|
| `latex` | formulas of a proof as LaTeX |
| `ideas` | the idea of each proof in two sentences or three |
| `index` | for each claim: where it is tested, where it is shown, what it corrects |
| `readme` | theory/README.md |
"""
