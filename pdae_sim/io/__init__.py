"""Datasets in and out: `.h5ad` files, and CSV or Parquet tables; the only package that knows anndata."""
