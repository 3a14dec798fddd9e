"""The trader in a world that goes wrong, on one virtual clock, from one seed: `python -m tests.simulation --help`."""
