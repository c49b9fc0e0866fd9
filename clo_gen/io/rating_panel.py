"""Rating histories as a loan panel: one obligor a row, payments by contract.

The files say how ratings moved and nothing of payments, so every live month pays its schedule; a
model trained on such a panel learns states alone. A withdrawn rating ends what is seen of an
obligor; it is not a prepayment.
"""

import pathlib

import numpy as np

from clo_gen.io.auto_panel import LoanPanel
from clo_gen.io.panel import WITHDRAWN, read_rating_events
from clo_gen.states import RATING


def read_rating_panel(path: str | pathlib.Path) -> LoanPanel:
    """LoanPanel in the rating space of the obligors seen for at least two months.

    Raises InputError with every problem of the file.
    """
    frame = read_rating_events(path, RATING)
    frame = frame[frame["state"] != WITHDRAWN]
    length = frame.groupby("obligor_id")["month"].transform("size")
    frame = frame[length >= 2].sort_values(["obligor_id", "month"], kind="stable")
    ids, row = np.unique(frame["obligor_id"].to_numpy(str), return_inverse=True)
    ordinal = frame["month"].array.asi8
    first = np.full(len(ids), np.iinfo(np.int64).max)
    np.minimum.at(first, row, ordinal)
    cell = row, ordinal - first[row]
    state = np.full((len(ids), int(cell[1].max()) + 1), -1)
    state[cell] = frame["state"].map(RATING.index).to_numpy(int)
    live = (state >= 0) & (state < len(RATING.live))
    one, zero = np.ones(len(ids)), np.zeros(len(ids))
    # A bullet: one of interest on a hundred is due each month, and no principal.
    return LoanPanel(
        ids=ids, trust=np.full(len(ids), "all"), features=state[:, :1].astype(float),
        band=np.full(len(ids), -1), due=one, rate=0.12 * one, term=zero, recovery=zero * np.nan,
        first=first.astype(int), age=zero, state=state, payment=live.astype(float),
        balance=100.0 * (state >= 0), missed=np.zeros_like(state), source=pathlib.Path(path).name,
        space=RATING, facts=("first_rating",), contract=True)
