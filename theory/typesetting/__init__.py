"""What makes the records readable.

| module | what it offers |
|---|---|
| `notation` | names of symbols as LaTeX |
| `latex` | formulas of a proof as LaTeX |
| `prose` | sentences of a record as styled text |
| `index` | for each claim: where it is tested, where it is shown, what it corrects |
| `readme` | theory/README.md |
"""
