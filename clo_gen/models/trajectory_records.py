"""Records of level 3: the trained model, loans, their lives so far, and observed histories."""

import jax
from flax import struct

from clo_gen.models.loan_cash import Debt, Terms
from clo_gen.models.trajectory_network import Before, TrajectoryConfig
from clo_gen.states import StateSpace


class Trajectory(struct.PyTreeNode):
    """A trained level 3 model."""

    params: dict  # {"network", "hazard", "payments", "recovery"}
    cohort_matrix: jax.Array  # [C, S, S] monthly
    fact_mean: jax.Array  # [F]
    fact_scale: jax.Array  # [F]
    macro_mean: jax.Array  # [M]
    macro_scale: jax.Array  # [M]
    cfg: TrajectoryConfig = struct.field(pytree_node=False)
    space: StateSpace = struct.field(pytree_node=False)
    facts: tuple[str, ...] = struct.field(pytree_node=False)  # F names
    series: tuple[str, ...] = struct.field(pytree_node=False)  # M names
    cohorts: tuple[str, ...] = struct.field(pytree_node=False)  # C names
    trained_until: str = struct.field(pytree_node=False, default="")  # last month of training

    @property
    def norm(self) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
        return self.fact_mean, self.fact_scale, self.macro_mean, self.macro_scale


class Loans(struct.PyTreeNode):
    """Loans at the start of the first month, [L] unless said otherwise; money in any one unit."""

    facts: jax.Array  # [L, F] raw, nan unknown
    cohort: jax.Array  # int
    state: jax.Array  # int
    kind: jax.Array  # int, of the last payment
    share: jax.Array  # of the last payment
    missed: jax.Array  # payments missed in a row
    age: jax.Array  # months
    terms: Terms
    debt: Debt


class Lives(struct.PyTreeNode):
    """The loans' lives so far: what `advance` carries from month to month."""

    loans: Loans  # as they stand now
    cache: tuple  # keys and values of the last months
    count: jax.Array  # [] int, months lived


class History(struct.PyTreeNode):
    """Observed loan-months [..., T], each with what was known before and what came out."""

    facts: jax.Array  # [..., F]
    cohort: jax.Array  # [...] int
    terms: Terms  # [...]
    before: Before  # [..., T]
    macro: jax.Array  # [..., T, M]
    month: jax.Array  # [..., T] int since 1970-01
    state: jax.Array  # [..., T] int after the month
    kind: jax.Array  # [..., T] int of the payment
    share: jax.Array  # [..., T] payment as a share of schedule
    recovery: jax.Array  # [..., T] share of the balance, nan but in the month of default
    counted: jax.Array  # [..., T] bool: live before the month, and of the split
