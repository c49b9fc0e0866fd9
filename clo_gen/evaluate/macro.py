"""Level 1 measured on months that it has not seen, beside persistence, VAR and block bootstrap.

Reference: methodology, Evaluation Metrics; Gneiting and Raftery (2007), JASA 102, for the scores.
"""

import jax
import jax.numpy as jnp
import numpy as np

from clo_gen.evaluate import macro_draws, macro_scenarios
from clo_gen.models import macro_cvae, regimes
from clo_gen.models.macro_start import MEMORY
from clo_gen.scores import Metric, block_bootstrap, crps_ensemble, energy_score
from clo_gen.train.macro import MacroData

RATES = ("unemployment_rate", "inflation_yoy", "policy_rate", "treasury", "credit_spread")
DRAWS, SEED = 200, 0
HORIZONS = (12, 24, 60)  # months of the CRPS
ACTIVE = 0.01  # Burda, Grosse and Salakhutdinov (2016), Importance weighted autoencoders


def evaluate(model, data: MacroData, draws=DRAWS):
    """[Metric] of level 1; the test windows overlap, so intervals resample stretches of them."""
    windows = data.windows("test")
    means, steps, blind, free = _reconstructions(model, data, windows)
    return [*_one_step(data, windows, (steps, blind)), *_free_running(data, windows, free),
            _active(means, data.span("test")), *_moments(model, data),
            *_proper_scores(model, data, windows, draws),
            *macro_scenarios.off_table(model, data)]


def _reconstructions(model, data, windows):
    """Posterior means [N, Z], one-step forecasts with and without what the latents and the label
    read from the window, and free-running paths [N, W, M]."""
    labels = regimes.one_hot(data.labels("test"))

    def one(model, window, label):
        z, _ = macro_cvae.encode(model, window, label)
        baseline = regimes.one_hot(0)
        return (z, macro_cvae.reconstruct(model, window, z, label),
                macro_cvae.reconstruct(model, window, jnp.zeros_like(z), baseline),
                macro_cvae.mean_path(model, z, label, window[:MEMORY]))

    out = jax.jit(jax.vmap(one, (None, 0, 0)))(model, windows, labels)
    return [np.asarray(x) for x in out]


def _rmse(error, keep=None):
    error = error if keep is None else error[keep]
    return float(np.sqrt(np.mean(error**2)))


def _units(data):
    """Standard deviations [M] of monthly changes and of levels in the training months."""
    training = data.values[data.training_months()]
    return np.diff(training, axis=0).std(0), training.std(0)


def _one_step(data, windows, steps):
    """RMSE with the decoder reading the true past: all series in units of their usual monthly
    change, and rate-like series in fractions."""
    change, _ = _units(data)
    keep, target = data.kept("test"), windows[:, MEMORY:]
    span, without = data.span("test"), _without(data)
    var = macro_draws.var_steps(data.values[data.training_months()], windows)
    errors = {"model": steps[0] - target, "latents at 0": steps[1] - target,
              "VAR one step": var - target,
              "persistence": windows[:, MEMORY - 1: -1] - target}
    rows = []
    for mask, split in ((keep, f"test {span}{without}"), (keep | True, f"test {span}, all months")):
        value = _rmse(errors["model"] / change, mask)
        for name in ("persistence", "VAR one step", "latents at 0"):
            base = _rmse(errors[name] / change, mask)
            low, high = _ratio_interval(errors["model"] / change, errors[name] / change, mask,
                                        data.window)
            rows.append(Metric(
                "reconstruction RMSE, all series", value, "monthly changes", base, name,
                "" if name == "latents at 0" else f"<= 0.9 of {name}", split, low, high,
                note=f"{value / base:.3f} of the baseline; interval of that ratio" + (
                    "" if value < base else "; the baseline wins")))
    for j, name in enumerate(data.series):
        value, base = (_rmse(errors[k][..., j], keep) for k in ("model", "persistence"))
        target_text = "< 0.005" if name.startswith(RATES) else ""
        rows.append(Metric(f"reconstruction RMSE, {name}", value, "fraction", base, "persistence",
                           target_text, f"test {span}{without}", note=_verdict(value, base)))
    return rows


def _without(data):
    out = data.config.leave_out
    return f" without {out[0]} to {out[1]}" if out else ""


def _verdict(value, base):
    return "" if value < base else "the baseline wins"


def _ratio_interval(error, base, keep, block):
    """90 % interval of the ratio of two RMSE, resampling stretches of windows."""
    share = [np.where(keep[..., None], e**2, 0.0).sum((1, 2)) for e in (error, base)]
    rows = np.random.default_rng(SEED).integers(0, len(keep), (500, -(-len(keep) // block)))
    rows = (rows[:, :, None] + np.arange(block)).reshape(500, -1)[:, : len(keep)] % len(keep)
    ratio = np.sqrt(share[0][rows].sum(1) / share[1][rows].sum(1))
    return tuple(float(x) for x in np.quantile(ratio, (0.05, 0.95)))


def _free_running(data, windows, free):
    """RMSE of paths from the latents, the label and the history alone."""
    keep, target = data.kept("test"), windows[:, MEMORY:]
    var = macro_draws.var_means(data.values[data.training_months()], windows[:, :MEMORY],
                                data.window)
    split = f"test {data.span('test')}{_without(data)}"
    rows = []
    for j, name in enumerate(data.series):
        value, base = (_rmse((x - target)[..., j], keep) for x in (free, var))
        rows.append(Metric(f"free-running RMSE, {name}", value, "fraction", base, "VAR mean path",
                           "", split, note="latents read from the window itself; "
                           + (_verdict(value, base) or "no true past")))
    return rows


def _active(means, span):
    variance = means.var(0)
    return Metric("active latent units", float((variance > ACTIVE).sum()), "units", None, "",
                  ">= 6", f"test {span}", better="higher",
                  note=f"Var_x E[z|x] from {variance.min():.3f} to {variance.max():.3f}, "
                       f"bar {ACTIVE}")


def _moments(model, data):
    """Generated paths from the training histories against what followed those histories; windows
    with months that training leaves out are not what the model is to reproduce."""
    whole = data.kept("train").all(1)
    windows = data.windows("train")[whole]
    made = macro_draws.cvae(model, windows[:, :MEMORY], 2, data.window, SEED)
    made, real = made.reshape(-1, *made.shape[2:]), windows[:, MEMORY:]
    path = made.std(0).mean(0) / real.std(0).mean(0)
    change = np.diff(made, axis=1).std((0, 1)) / np.diff(real, axis=1).std((0, 1))
    lag = _lag_one(made) - _lag_one(real)
    above = np.triu_indices(real.shape[2], 1)
    cross = np.abs(_correlations(made) - _correlations(real))[above].mean()
    split = f"training histories {data.span('train')}" + (
        "" if whole.all() else f"{_without(data)}, {whole.sum()} of {len(whole)} windows")

    def worst(name, gaps, unit, target):
        at = int(np.abs(gaps).argmax())
        return Metric(name, float(np.abs(gaps[at])), unit, None, "", target, split,
                      note=f"worst series: {data.series[at]} ({gaps[at]:+.3f})")

    return [worst("path-to-path deviation off history", path - 1.0, "share", "<= 0.25"),
            worst("monthly-change deviation off history", change - 1.0, "share", "<= 0.25"),
            worst("lag-1 autocorrelation off history", lag, "", "<= 0.05"),
            Metric("cross-correlations off history, mean", float(cross), "", None, "", "<= 0.15",
                   split)]


def _lag_one(paths):
    """Lag-1 autocorrelation [M] within paths [N, T, M], averaged over them."""
    d = paths - paths.mean(1, keepdims=True)
    return ((d[:, 1:] * d[:, :-1]).sum(1) / (d**2).sum(1)).mean(0)


def _correlations(paths):
    return np.corrcoef(paths.reshape(-1, paths.shape[2]).T)


def _proper_scores(model, data, windows, draws):
    """Energy score of whole windows, CRPS by series and horizon, against the baselines."""
    training, span = data.values[data.training_months()], f"test {data.span('test')}"
    histories, target, scale = windows[:, :MEMORY], windows[:, MEMORY:], _units(data)[1]
    samples = {"CVAE": macro_draws.cvae(model, histories, draws, data.window, SEED),
               "VAR": macro_draws.var(training, histories, draws, data.window, SEED),
               "block bootstrap": macro_draws.bootstrap(training, histories, draws, data.window,
                                                        SEED)}
    energy = {name: np.array([energy_score((s / scale).reshape(draws, -1), (t / scale).ravel())
                              for s, t in zip(paths, target, strict=True)])
              for name, paths in samples.items()}
    rows = [_compared("energy score", energy, "standard deviations", span, data.window,
                      "<= the better of VAR and block bootstrap")]
    for month in HORIZONS:
        if month > data.window:
            continue
        scores = {name: crps_ensemble(np.moveaxis(p[:, :, month - 1], 1, 0), target[:, month - 1])
                  for name, p in samples.items()}
        for j, series in enumerate(data.series):
            rows.append(_compared(f"CRPS at {month} months, {series}",
                                  {k: v[:, j] for k, v in scores.items()}, "fraction", span,
                                  data.window, ""))
    return rows


def _compared(name, scores, unit, split, block, target):
    """Metric of the CVAE's mean score beside the better baseline; interval of the difference."""
    mean = {k: float(v.mean()) for k, v in scores.items()}
    best = min(("VAR", "block bootstrap"), key=lambda name: mean[name])
    other = "VAR" if best != "VAR" else "block bootstrap"
    low, high = block_bootstrap(scores["CVAE"] - scores[best], block, seed=SEED)
    verdict = "" if mean["CVAE"] <= mean[best] else f"; {best} wins"
    return Metric(name, mean["CVAE"], unit, mean[best], best, target, split, low, high,
                  note=f"interval of the difference to it; {other} {mean[other]:.4g}{verdict}")
