"""Draws of terms, collections and index paths for tests/random_deals.py."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from random_deals import case

from clo_gen.records import Collections

N, AGENCIES, BUCKETS = 100, 2, 3
SCALED = ("balance", "coupon", "spread", "fee_rate", "fee_amount", "fee_cap", "new_spread",
          "ccc_limit", "hurdle", "discount_threshold")


def collections(r, n, months):
    """Collections [n, months]: calm to badly stressed pools that pay off over the deal."""
    stress = r.choice([0.0, 0.5, 2.0, 6.0], (n, 1))
    par = np.ones((n, 1))
    flows = {k: [] for k in ("default", "prepayment", "scheduled", "performing", "interest")}
    for _ in range(months):
        default = par * r.uniform(0, 0.01, (n, 1)) * stress
        prepayment = (par - default) * r.uniform(0, 0.10, (n, 1))
        scheduled = (par - default - prepayment) * r.uniform(0, 0.02, (n, 1))
        flows["interest"].append(par * r.uniform(0.001, 0.009, (n, 1)))
        par = par - default - prepayment - scheduled
        for name, x in (("default", default), ("prepayment", prepayment),
                        ("scheduled", scheduled), ("performing", par)):
            flows[name].append(x)
    flows = {k: np.concatenate(v, axis=1) for k, v in flows.items()}
    flows["scheduled"][:, -1] += flows["performing"][:, -1]
    flows["performing"][:, -1] = 0.0
    return _with_haircuts(r, flows, lag=4)


def _with_haircuts(r, flows, lag):
    default, performing = flows["default"], flows["performing"]
    settled = np.pad(default, ((0, 0), (lag, 0)))[:, : default.shape[1]]
    recovered = r.uniform(0.2, 0.7, (len(default), 1))
    defaulted = np.maximum((default - settled).cumsum(1), 0.0)
    shape = (*performing.shape, AGENCIES, BUCKETS)
    ccc = performing[..., None, None] * r.uniform(0, 0.06, shape)
    price = np.sort(r.uniform(0.4, 1.0, shape), axis=-1)
    return Collections(
        interest=flows["interest"], scheduled_principal=flows["scheduled"],
        prepayment=flows["prepayment"], default=default, recovery=recovered * settled,
        loss=(1 - recovered) * settled, performing=performing, defaulted=defaulted,
        defaulted_value=defaulted * r.uniform(0.1, 0.6, (len(default), 1)), ccc_par=ccc,
        ccc_value=ccc * price, carrying_haircut=performing * r.uniform(0, 0.02, performing.shape),
        par_by_state=np.zeros((*performing.shape, 0)))


def terms(r, deal, n):
    """Deals [n]: the numbers of `deal`, moved by up to a tenth, triggers by up to 0.04."""
    many = jax.tree.map(lambda x: np.broadcast_to(x, (n, *x.shape)).copy(), deal)
    moved = {k: getattr(many, k) * r.uniform(0.9, 1.1, getattr(many, k).shape) for k in SCALED}
    return many.replace(**moved, trigger=many.trigger + r.uniform(-0.04, 0.04, many.trigger.shape))


def calendars(r, calendar, n):
    """Calendars [n] whose periods differ in length, and calls in their first date."""
    many = jax.tree.map(lambda x: np.broadcast_to(x, (n, *x.shape)).copy(), calendar)
    stretch = r.uniform(0.9, 1.1, (n, many.years.shape[1]))
    later = np.arange(many.years.shape[1]) >= r.integers(0, 6, (n, 1))
    return many.replace(
        note_fraction=many.note_fraction * stretch[:, :, None], can_call=many.can_call * later,
        fee_fraction=many.fee_fraction * stretch[:, :, None],
        years=np.cumsum(np.diff(many.years, prepend=0.0) * stretch, axis=1))


def draws(seed, loaded, n):
    """Draws [n] as run_draw reads them."""
    r = np.random.default_rng([seed, 3])
    dates = len(loaded.payment_dates)
    drawn = {
        "calendar": calendars(r, loaded.calendar, n), "deal": terms(r, loaded.deal, n),
        "collections": collections(r, n, loaded.months),
        "index": r.uniform(0.01, 0.06, (n, 1)) + r.uniform(0, 0.01, (n, dates)),
        "price": r.uniform(0.95, 1.05, n), "cdr": r.uniform(0, 0.2, n),
        "cpr": r.uniform(0, 0.4, n)}
    return jax.tree.map(jnp.asarray, drawn)


@functools.cache
def drawn(seed):
    """N draws of structure `seed`."""
    return draws(seed, case(seed).loaded, N)


@functools.cache
def paid(seed, temperature):
    """TrancheCash [N] of structure `seed` in numpy."""
    return jax.tree.map(np.asarray, case(seed).run(drawn(seed), temperature))
