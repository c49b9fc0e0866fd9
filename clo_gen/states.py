"""State spaces of a loan: which states exist, which can follow which, and which are worse.

A space is static data (hashable), never code: models and cash read names and masks from here.
"""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True)
class StateSpace:
    """A loan's states in the order: live (best first), default, prepaid, matured.

    `moves` lists, for each live state, the live states that may follow it within a month.
    Default and prepayment can follow the live states named in `can_default` and any live state;
    default, prepaid and matured are absorbing. `distressed` names the state whose par is
    cut in coverage tests (CCC), if the space has one.
    """

    name: str
    live: tuple[str, ...]
    moves: tuple[tuple[str, ...], ...]
    can_default: tuple[str, ...]
    distressed: str | None = None

    @property
    def states(self) -> tuple[str, ...]:
        """All S names; default, prepaid and matured are the last three."""
        return (*self.live, "default", "prepaid", "matured")

    @property
    def size(self) -> int:
        return len(self.live) + 3

    @property
    def default(self) -> int:
        return len(self.live)

    @property
    def prepaid(self) -> int:
        return len(self.live) + 1

    @property
    def matured(self) -> int:
        return len(self.live) + 2

    def index(self, state: str) -> int:
        return self.states.index(state)

    @property
    def distressed_index(self) -> int:
        """Number of the distressed state; -1 if the space has none."""
        return self.index(self.distressed) if self.distressed else -1

    @functools.cached_property
    def mask(self) -> np.ndarray:
        """Allowed transitions [S, S] bool: what is False has probability exactly 0."""
        mask = np.eye(self.size, dtype=bool)
        for i, targets in enumerate(self.moves):
            mask[i, [self.index(j) for j in targets]] = True
            mask[i, self.default] = self.live[i] in self.can_default
            mask[i, self.prepaid] = mask[i, self.matured] = True
        return mask

    @functools.cached_property
    def worse(self) -> np.ndarray:
        """[S, S] bool: j is worse than i (a lower live state, or default)."""
        severity = np.arange(self.size)
        severity[[self.prepaid, self.matured]] = -1
        return self.mask & (severity[None, :] > severity[:, None]) & (severity[:, None] >= 0)


_RATINGS = ("AAA", "AA", "A", "BBB", "BB", "B", "CCC")

RATING = StateSpace(
    name="rating",
    live=_RATINGS,
    moves=(_RATINGS,) * 7,
    can_default=_RATINGS,
    distressed="CCC",
)

DELINQUENCY = StateSpace(
    name="delinquency",
    live=("performing", "dpd30", "dpd60", "dpd90"),
    moves=(
        ("performing", "dpd30"),
        ("performing", "dpd30", "dpd60"),
        ("performing", "dpd30", "dpd60", "dpd90"),
        ("performing", "dpd30", "dpd60", "dpd90"),
    ),
    can_default=("dpd90",),
)

_DELINQUENT = DELINQUENCY.live

REPORTED = StateSpace(  # what servicers report: jumps by late corrections, exits from any state
    name="reported_delinquency",
    live=_DELINQUENT,
    moves=(_DELINQUENT,) * 4,
    can_default=_DELINQUENT,
)

SPACES = {space.name: space for space in (RATING, DELINQUENCY, REPORTED)}
