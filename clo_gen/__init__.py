"""clo_gen: CLO and private-credit portfolios as one differentiable JAX program.

Public names are loaded on first use, so that importing the package is cheap and changes nothing
global: no x64 switch, no device set-up. Entry points (the command line, tests) do that.
"""

import importlib

__version__ = "0.1.0"

_PUBLIC = {
    "Calendar": "records",
    "Collections": "records",
    "Deal": "records",
    "LoanPath": "records",
    "MacroPath": "records",
    "Tape": "records",
    "TrancheCash": "records",
    "Transitions": "records",
    "DELINQUENCY": "states",
    "RATING": "states",
    "StateSpace": "states",
    "MacroModel": "macro_model",
    "read_deal": "io.deal",
    "read_macro": "io.macro",
    "read_macro_model": "macro_model",
    "read_panel": "io.panel",
    "read_rating_events": "io.panel",
    "read_tape": "io.tape",
    "read_config": "io.config",
    "path_key": "rng",
    "collect": "pipeline",
    "simulate": "pipeline",
    "simulate_batch": "pipeline",
    "run_waterfall": "deal.waterfall",
    "main_job": "jobs.run",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'clo_gen' has no attribute {name!r}")
    return getattr(importlib.import_module(f"clo_gen.{_PUBLIC[name]}"), name)


def __dir__():
    return [*__all__, "__version__"]
