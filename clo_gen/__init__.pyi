# The public names: __init__.py loads each on first use, type checkers and editors read them here.

from . import explain as explain
from . import gradients as gradients
from . import hypo as hypo
from . import pipeline as pipeline
from . import records as records
from . import rng as rng
from .assembly import assemble as assemble
from .gradients import gradient as gradient
from .hypo.entry import hypo_pool_discrete_constraints as hypo_pool_discrete_constraints
from .hypo.entry import hypo_pool_formula_constraints as hypo_pool_formula_constraints
from .io.config import read_config as read_config
from .io.deal import read_deal as read_deal
from .io.macro import read_macro as read_macro
from .io.problems import InputError as InputError
from .io.tape import read_tape as read_tape
from .jobs.waterfall import distribute as distribute
from .macro_model import macro_model_of as macro_model_of
from .macro_model import read_macro_model as read_macro_model
from .pipeline import simulate as simulate
from .pipeline import simulate_batch as simulate_batch
from .runs import read_run as read_run
from .runs import run as run
from .runs import simulate_scenario as simulate_scenario
from .summary import class_risk as class_risk
from .summary import pool_risk as pool_risk

__version__: str
