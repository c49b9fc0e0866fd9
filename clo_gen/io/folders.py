"""Run folders: complete or not there, never overwritten."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from clo_gen.io.problems import InputError


def draft_of(out: pathlib.Path) -> pathlib.Path:
    """Where a run is written before it is complete."""
    return out.with_name(out.name + ".partial")


@contextlib.contextmanager
def new_folder(out: pathlib.Path) -> Iterator[Any]:
    """A draft folder that becomes the folder `out` of choose_folder when all went well: `out` is
    complete or not there."""
    out = pathlib.Path(out)
    draft = draft_of(out)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        yield draft
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    publish(out)


def publish(out: pathlib.Path) -> None:
    """Makes the draft of `out` the folder `out`."""
    if out.exists():
        out.rmdir()
    draft_of(out).rename(out)


OURS = {"config.toml", "manifest.json.half"}  # a run that was killed before it had begun


def choose_folder(name: str, out: pathlib.Path | None, *, joins: bool = False) -> pathlib.Path:
    """The run folder: `out`, or runs/<name>, or runs/<name>-2 and so on when that exists.

    Raises InputError when `out` exists and is not an empty folder, or when its draft holds
    something (unless the caller `joins` a run under way): nothing is ever overwritten.
    """
    if out is not None:
        out = pathlib.Path(out)
        if not out.name:
            raise InputError(f"--out {out}: want the name of a new folder")
        draft = draft_of(out)
        held = {p.name for p in draft.iterdir()} if draft.is_dir() else set()
        if "manifest.json" in held and not joins:
            raise InputError(f"--out {out}: an interrupted run is there; go on with clo-gen run "
                             f"--resume {out}, or remove {draft}")
        if held - OURS and not joins:
            raise InputError(f"--out {out}: {draft} is in the way, and is not empty; want it "
                             "removed, or another name")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            pathlib.Path(tempfile.mkdtemp(prefix=f"{out.name}.", dir=out.parent)).rmdir()
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written ({error.strerror}); want a folder "
                             "that can be made") from None
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"--out {out}: exists already; want a new or empty folder, runs are "
                             "never overwritten")
        return out
    folder, number = pathlib.Path("runs") / name, 2
    while folder.exists() or draft_of(folder).exists():
        folder, number = pathlib.Path("runs") / f"{name}-{number}", number + 1
    return folder
