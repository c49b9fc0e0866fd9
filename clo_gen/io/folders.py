"""Folders and files that commands write: complete or not there, never overwritten."""

import contextlib
import errno
import os
import pathlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from typing import Any

from clo_gen.io.problems import InputError, WriteError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TAKEN = (errno.ENOTEMPTY, errno.EEXIST)
_UNFINISHED = ".partial"


def draft_of(out: pathlib.Path) -> pathlib.Path:
    """Where a run is written before it is complete."""
    return out.with_name(out.name + _UNFINISHED)


def run_of(folder):
    """The run folder that `folder` is, or is the draft of."""
    return folder.with_name(folder.name.removesuffix(_UNFINISHED))


@contextlib.contextmanager
def new_folder(out: pathlib.Path) -> Iterator[Any]:
    """A draft folder that becomes the folder `out` of choose_folder when all went well: `out` is
    complete or not there. Raises InputError when another command writes there in the meantime."""
    out = pathlib.Path(out)
    draft = draft_of(out)
    try:
        draft.mkdir(parents=True)
    except FileExistsError:
        raise InputError(f"{out}: another command is writing there, or was stopped while it did; "
                         f"want {draft} removed, or another name") from None
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror}); want a folder that can be "
                         "made") from None
    try:
        yield draft
    except BaseException as error:
        shutil.rmtree(draft, ignore_errors=True)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise WriteError(f"{out}: {error.strerror}; nothing of it is left") from None
        raise
    try:
        publish(out)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        raise InputError(f"{out}: another command has written there in the meantime; the results "
                         f"of this one are in {draft}") from None


def want_new_file(out: pathlib.Path | str, *endings: str) -> pathlib.Path:
    """The path `out` of a file to be written. Raises InputError where it exists or does not end in
    one of the `endings`: asked before the work begins."""
    out = pathlib.Path(out)
    if out.suffix not in endings:
        raise InputError(f"--out {out}: want a name ending in {' or '.join(endings)}")
    if os.path.lexists(out):
        raise InputError(f"--out {out}: exists already; want the name of a new file, what is "
                         "there is never overwritten")
    return out


@contextlib.contextmanager
def new_file(out: pathlib.Path) -> Iterator[Any]:
    """A draft, in the folder of `out` and with its ending, that becomes the file `out` when all
    went well. Raises InputError for what cannot be written, WriteError for a full disk."""
    draft = out.with_name(f".{uuid.uuid4().hex[:12]}{_UNFINISHED}{out.suffix}")
    try:
        try:
            yield draft
            draft.replace(out)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        if error.errno in _FULL:
            raise WriteError(f"{out}: {error.strerror}; nothing of it is left") from None
        raise InputError(f"--out {out}: cannot be written ({error.strerror}); want the name of a "
                         "file that can be") from None


def claim(out, fill):
    """Makes the draft of `out` as fill(folder) fills it, in one go: of two that try, one gets it.
    False, with nothing changed, when there is a draft already."""
    half = out.with_name(f".{out.name}.{uuid.uuid4().hex[:12]}")
    try:
        if draft_of(out).exists():
            return False
        half.mkdir(parents=True)
        fill(half)
        _write_through(half)
        half.rename(draft_of(out))
    except OSError as error:
        if error.errno in _TAKEN:
            return False
        raise
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return True


@contextlib.contextmanager
def alone(draft, file):
    """While it lasts no other process works on the draft; `file` is one in it that stays. Raises
    InputError when one does."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    with open(draft / file) as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"{draft}: another process is working on it; want it to end "
                             "first") from None
        except OSError:  # a file system without locks
            pass
        yield


def publish(out: pathlib.Path) -> None:
    """Makes the draft of `out` the folder `out`, once its bytes are on the disk."""
    _write_through(draft_of(out))
    if out.exists():
        out.rmdir()
    draft_of(out).rename(out)
    _sync(out.parent)


def _write_through(folder):
    """Waits until the files below `folder` are on the disk, and not only on their way there: a
    machine that stops does not leave a complete folder of empty files."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        _sync(path)
    _sync(folder)


def _sync(path):
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # a folder, on Windows
        return
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF):  # file systems without it for folders
            raise
    finally:
        os.close(handle)


def choose_folder(name: str, out: pathlib.Path | None, *, joins: bool = False) -> pathlib.Path:
    """The run folder: `out`, or runs/<name>, or runs/<name>-2 and so on when that exists.

    Raises InputError when `out` exists and is not an empty folder, or has a draft (unless the
    caller `joins` a run under way): nothing is ever overwritten.
    """
    if name.endswith(_UNFINISHED):
        raise InputError(f"name: {name}; want one that does not end in {_UNFINISHED}, which marks "
                         "what is not complete")
    if out is not None:
        out = pathlib.Path(out)
        if not out.name or out.name.endswith(_UNFINISHED):
            raise InputError(f"--out {out}: want the name of a new folder that does not end in "
                             f"{_UNFINISHED}, which marks what is not complete")
        try:
            draft_of(out).stat()
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:  # too long, a NUL in it, under what is no folder
            raise InputError(f"--out {out}: cannot be written ({error}); want a folder that can be "
                             "made") from None
        draft = draft_of(out)
        if (draft / "manifest.json").exists() and not joins:
            raise InputError(f"--out {out}: an interrupted run is there, or one under way; go on "
                             f"with clo-gen run --resume {out}, or remove {draft}")
        if draft.exists() and not joins:
            raise InputError(f"--out {out}: {draft} is in the way; want it removed, or another "
                             "name")
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            pathlib.Path(tempfile.mkdtemp(prefix=f"{out.name}.", dir=out.parent)).rmdir()
        except OSError as error:
            raise InputError(f"--out {out}: cannot be written ({error.strerror}); want a folder "
                             "that can be made") from None
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise InputError(f"--out {out}: exists already; want a new or empty folder, "
                             "what is there is never overwritten")
        return out
    folder, number = pathlib.Path("runs") / name, 2
    while folder.exists() or draft_of(folder).exists():
        folder, number = pathlib.Path("runs") / f"{name}-{number}", number + 1
    return folder
