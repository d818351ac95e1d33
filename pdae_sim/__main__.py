"""`python -m pdae_sim`."""

from pdae_sim.cli import main

main()
