"""How a run begins, or goes on: its config, its folder, and what it was started with."""

import contextlib
import dataclasses
import pathlib
import shutil

import jax
import tomli_w

from clo_gen.assembly import Assembly
from clo_gen.io import manifest
from clo_gen.io.config import read_config
from clo_gen.io.folders import alone, choose_folder, claim, draft_of, run_of
from clo_gen.io.problems import InputError
from clo_gen.jobs import simulation
from clo_gen.jobs.hosts import Hosts

MEMORY = 2_000_000_000  # bytes, for the paths that are computed at once


def prepare(path, out, resume, overrides=(), hosts=None):
    """(RunConfig, its folder, run folder) of a new or resumed run; the run folder is None for the
    next free one under runs/.

    A resumed run goes on with its own config; a config beside --resume has to say the same. Raises
    InputError when there is nothing to resume, or when `out` has an interrupted run.
    """
    hosts = hosts or Hosts()
    if resume is None:
        if hosts.processes > 1 and out is None:
            raise InputError("--out: missing; want a folder that all processes share")
        config, folder = read_config(path, overrides)
        # The first of several processes may have started the run that the others join.
        chosen = choose_folder(config.name, out, joins=hosts.process > 0)
        return config, folder, None if out is None else chosen
    if out is not None:
        raise InputError("--resume goes on in the run's own folder; want no --out beside it")
    out = run_of(pathlib.Path(resume).resolve())
    started = manifest.read(draft_of(out))
    if (out / "summary.json").exists() and hosts.process == 0:  # killed while it tidied up, perhaps
        shutil.rmtree(out / "blocks", ignore_errors=True)
    if started is None:
        raise InputError(f"--resume {resume}: " + (
            "this run is complete" if (out / "summary.json").exists() else
            f"no interrupted run; want a folder that has {draft_of(out).name} beside it"))
    own = draft_of(out) / "config.toml"
    config, folder = read_config(own if path is None else path, overrides)
    if config.block is None:
        config = config.model_copy(update={"block": started["config"].get("block")})
    return config, folder, out


def begin(a: Assembly, folder, out, resume, options, hosts):
    """(Assembly with the run's block, run folder, options) of a run whose draft stands there with
    its manifest: made now, or gone on with.

    `options` are `memory` [bytes] and `check`; None means what the run was started with, or the
    default. Raises InputError for a block that does not fit the memory, and for a run that was
    started with other input.
    """
    hosts.wait()  # until the input of every process is good: else nothing is written
    if hosts.process == 0:
        before = manifest.read(draft_of(out))["options"] if resume else {}
        given = {name: value for name, value in options.items() if value is not None}
        options = {"memory": MEMORY, "check": False} | before | given
        a = _with_block(a, simulation.choose_block(a.config, len(a.tape.frame), *_devices(),
                                                   options["memory"]))
        out = out if resume else _claim(a, folder, out, options)
    hosts.wait()
    started = manifest.read(draft_of(out))
    if started is None:
        raise InputError(f"--out {out}: not seen by process {hosts.process}; want a folder that "
                         "all processes share")
    if hosts.process > 0:  # nodes may differ in devices and memory: the first one decides
        memory = options["memory"] or started["options"]["memory"]
        options = started["options"] | {"memory": memory}
        a = _with_block(a, started["config"]["block"])
        simulation.choose_block(a.config, len(a.tape.frame), *_devices(), memory)
    manifest.refuse_changes(started, _manifest(a, folder, options), draft_of(out))
    return a, out, options


def _claim(a, folder, out, options):
    """The run folder, whose draft is now this run's own: `out`, or the next free one."""
    def fill(draft):
        (draft / "config.toml").write_text(tomli_w.dumps(manifest.resolved(a.config, folder)))
        manifest.write(draft, _manifest(a, folder, options))

    chosen = choose_folder(a.config.name, out)
    try:
        while not claim(chosen, fill):
            if out is not None:
                raise InputError(f"--out {out}: another run has begun there in the meantime; want "
                                 "another name")
            chosen = choose_folder(a.config.name, None)
    except OSError as error:
        raise InputError(f"--out {chosen}: cannot be written ({error.strerror})") from None
    return chosen


@contextlib.contextmanager
def at_work(out, options, hosts):
    """While it lasts the draft of `out` is this run's alone, and its manifest has the options.
    Raises InputError when another process works on it."""
    if hosts.process > 0:
        yield
        return
    draft = draft_of(out)
    with alone(draft, "config.toml"):
        started = manifest.read(draft)
        if started is not None and started["options"] != options:
            manifest.write(draft, started | {"options": options})
        yield


def _manifest(a, folder, options):
    return manifest.manifest(a.config, folder, (a.params, a.inputs, a.scenarios), **options)


def _devices():
    return jax.local_device_count(), jax.devices()[0].platform


def _with_block(a: Assembly, block):
    """The assembly with blocks of `block` paths."""
    return dataclasses.replace(a, config=a.config.model_copy(update={"block": block}))
