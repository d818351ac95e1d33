"""Datasets in and out: `.h5ad` files, AnnData objects, and files of other tools; the only room that knows anndata.

| name | what it does |
|---|---|
| `read_data`, `write_data` | a `PerturbationData` from and to an `.h5ad` file |
| `read_fresh` | the cells that a dataset keeps out of every fit |
| `read_labels`, `read_features` | labels, split and counts of a dataset; names of its features; without reading X |
| `from_anndata`, `to_anndata` | the same conversion in memory |
| `read_simulation`, `write_simulation` | simulated data with its truth and the state of its simulator |
| `is_dataset` | whether a file was written by this package |
| `field_names` | columns, entries of obsm and layers of a file |
| `read_truth`, `has_truth` | the truth of a simulated file, without reading X |
| `ReadOptions` | what readers and commands are told of a file: columns, control, separators, layer, features |
| `write_cell_eval` | measured and predicted cells as files that cell-eval reads |
| `read_table` | a `PerturbationData` from a CSV, TSV or Parquet table, its problems listed all at once |
| `convert_file`, `Conversion` | the same from any file it can be made of, with what was left out and why |
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
