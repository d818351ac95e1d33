"""Commands called in this process: what they print, and how they end."""

import json

import numpy as np

from pdae_sim.cli._app import run
from pdae_sim.data import PerturbationData

PNG = b"\x89PNG"


def ran(capsys, *arguments) -> tuple[int, str, str]:
    """Status, standard output and standard error of a command."""
    capsys.readouterr()
    status = run([str(word) for word in arguments])
    return status, *capsys.readouterr()


def answer(capsys, *arguments, status: int = 0) -> dict:
    """The JSON that a command gives, if it ends with `status`."""
    ended, out, _ = ran(capsys, *arguments, "--json", "--quiet")
    assert ended == status
    return json.loads(out)


def refusal(capsys, *arguments) -> str:
    """The line that a command is refused with: one on standard error, none on standard output, status 2."""
    status, out, err = ran(capsys, *arguments)
    assert (status, out, err.count("\n")) == (2, "", 1), (status, out, err)
    assert err.startswith("error: ")
    return err


def write_table(path, effect, *, labels=((0, 0), (1, 0), (0, 1), (1, 1)), n=80):
    """Normal cells of two columns that A and B shift; A+B shifts the first by `effect` more."""
    labels = np.array(labels, dtype=float)
    environment = np.repeat(np.arange(len(labels)), n)
    x = np.random.default_rng(0).normal(size=(len(environment), 2)) + labels[environment][:, :2]
    x[:, 0] += effect * labels.prod(axis=1)[environment]
    PerturbationData(x, labels, environment, ("A", "B")).write(path)
    return path
