"""`check`: the contract of estimators against one of a user's own."""

from __future__ import annotations

from typing import Annotated

import typer

from pdae_sim._checks import choice, imported, naming
from pdae_sim.cli._options import Seed, command
from pdae_sim.cli._output import Output
from pdae_sim.cli._tables import Table


@command
def check(
    output: Output,
    estimator: Annotated[str, typer.Argument(help="module:name of an estimator, or of what makes one.")],
    world: Annotated[
        list[str] | None, typer.Option(help="World to try it on: linear, curved (the default), noisy, counts. Repeat.")
    ] = None,
    law: Annotated[list[str] | None, typer.Option(help="Law to try; all by default. Repeat.")] = None,
    known: Annotated[list[str] | None, typer.Option("--except", help="Law that it is known to break. Repeat.")] = None,
    seed: Seed = 0,
) -> int:
    """Hold an estimator to the laws that every one should obey. Status 1 if one is broken."""
    made = imported(estimator)
    from pdae_sim import testing

    worlds, excused = world or ["curved"], dict.fromkeys(known or [], "--except")
    for option, names, allowed in (
        ("--world", worlds, testing.CONTRACT_WORLDS),
        ("--law", law or [], testing.LAWS),
        ("--except", excused, testing.LAWS),
    ):
        for name in names:
            with naming(option):
                choice("name", name, allowed)
    with naming(estimator):
        try:
            results = testing.check_estimator(made, worlds, laws=law, exceptions=excused, seed=seed)
        except testing.ContractError as error:
            results = list(error.results)
    rows = [(each.law, each.on, each.status, each.evidence) for each in results]
    broken = {each.law: testing.LAWS[each.law].says for each in results if each.status == "broken"}
    payload = {"estimator": estimator, "laws": [vars(each) for each in results], "broken": list(broken)}
    told = [f"{name} is broken: {says}" for name, says in broken.items()]
    output.result(payload, [Table(estimator, ("law", "world", "status", "evidence"), rows, prose=("evidence",)), *told])
    return 1 if broken else 0
