"""Studies and evaluations: where simulation, estimation and analysis meet."""
