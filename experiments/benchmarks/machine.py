"""The line that every table of a benchmark carries."""

from __future__ import annotations

import os
import platform

import numpy as np
import torch


def describe() -> str:
    """Processor kind, cores, threads and versions."""
    cores, threads = os.cpu_count(), torch.get_num_threads()
    versions = f"torch {torch.__version__}, numpy {np.__version__}, Python {platform.python_version()}"
    return f"{platform.machine()}, {cores} cores, {threads} threads, {versions}"
