"""The finished blocks of a run on disk: each a file that is whole or not there."""

import contextlib
import os
import pathlib

import numpy as np


class Blocks:
    """Block files in the folder `root`: one a scenario and number."""

    def __init__(self, root):
        self.root = pathlib.Path(root)

    def path(self, scenario, number):
        return self.root / scenario / f"{number:06d}.npz"

    def save(self, scenario, number, arrays):
        """Writes a block in one go: at any moment the file is whole or not there, and a full disk
        (OSError) leaves the blocks before it alone."""
        path = self.path(scenario, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            with open(draft, "wb") as file:
                np.savez(file, names=np.array(sorted(arrays)), **arrays)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
            raise

    def load(self, scenario, number):
        """{name: array} of a block, or None where it is missing or damaged (its checksums are
        read)."""
        try:
            with open(self.path(scenario, number), "rb") as file, np.load(
                    file, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
        except Exception:  # a damaged zip file raises nearly anything
            return None
        names = found.pop("names", np.array([])).tolist()
        return found if names == sorted(found) else None

    def missing(self, wanted):
        """Those of `wanted` [(scenario, number)] that have to be computed (again)."""
        return [block for block in wanted if self.load(*block) is None]
