"""`clo-gen simulate`: a run on the levels of a training run."""

import json
import pathlib

from clo_gen.io import checkpoint
from clo_gen.io.problems import InputError


def trained_values(run, mode=None):
    """The `key=value` texts that put the levels of the training run `run` into a run config.

    The macro CVAE comes with its own series; level 3 is read in `mode` "trajectory" only. Raises
    InputError when `run` holds no level that a run can use.
    """
    run = pathlib.Path(run).resolve()
    held = [level for level in ("macro", "transition", "trajectory")
            if (run / level / "model.npz").is_file()]
    if not held:
        raise InputError(f"{run}: no trained level; want a folder written by clo-gen train")
    if mode == "trajectory" and "trajectory" not in held:
        raise InputError(f"--mode trajectory: {run} holds {', '.join(held)} only; want a run that "
                         "has trained the level trajectory")
    where, out = json.dumps(str(run)), []
    if "macro" in held:
        model, _ = checkpoint.load_record(run / "macro" / "model.npz")
        out += ["macro.generator=cvae", f"macro.run={where}",
                f"macro.series={json.dumps(list(model.series))}"]
    if "transition" in held:
        out += ["transitions.model=transformer", f"transitions.run={where}"]
    if mode == "trajectory":
        out += [f"trajectory={{run={where}}}"]
    return out
