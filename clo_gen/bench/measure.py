"""How a case is timed, and the row it gives."""

import dataclasses
import math
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import jax

import clo_gen
from clo_gen import mesh

REPEATS = 5
CASH = "float64 money, float32 draws"


@dataclasses.dataclass(frozen=True)
class Work:
    """A case that is ready to run."""

    run: Callable  # () -> arrays to wait for
    unit: str
    work: int  # units of one run
    sizes: dict
    dtype: str = CASH
    compile_s: float | None = None  # None: what the first run takes more than the median
    temporaries: int | None = None  # bytes a device, of the compiled program
    more: dict = dataclasses.field(default_factory=dict)  # further fields of the row


def set_up():
    """Double precision, and a device for each core of a CPU: as the command line does it."""
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", max(2, cores()))


def cores():
    """Cores that this process may use."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1)


def scaled(count, scale):
    """`count` times `scale`, 8 at least, and the same number for each device."""
    devices = jax.device_count()
    return math.ceil(max(round(count * scale), 8) / devices) * devices


def compiled(run, args, spread, **facts):
    """Work of a pure function `run`; `spread` are the arguments whose leading axis is shared out
    over the devices, `facts` the other fields of Work."""
    devices = mesh.path_mesh()
    shardings = tuple(mesh.by_path(devices) if i in spread else mesh.replicated(devices)
                      for i in range(len(args)))
    args = tuple(jax.device_put(a, s) for a, s in zip(args, shardings, strict=True))
    start = time.perf_counter()
    program = jax.jit(run, in_shardings=shardings).lower(*args).compile()
    compile_s, memory = time.perf_counter() - start, program.memory_analysis()
    return Work(run=lambda: program(*args), compile_s=compile_s,
                temporaries=memory.temp_size_in_bytes if memory else 0, **facts)


def timed(run):
    """Seconds of `run`: (median, max - min) of REPEATS runs after the first, and the first's."""
    times = []
    for _ in range(REPEATS + 1):
        start = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:]), max(times[1:]) - min(times[1:]), times[0]


def row(name, work: Work):
    """The row of a case (JSON data)."""
    median, spread, first = timed(work.run)
    compile_s = first - median if work.compile_s is None else work.compile_s
    device = jax.devices()[0]
    return {
        "case": name, "sizes": work.sizes, "unit": work.unit, "work": work.work,
        "compile_s": round(max(compile_s, 0.0), 2), "median_s": _digits(median),
        "spread_s": _digits(spread), "per_s": _digits(work.work / median),
        "temporaries_mb": None if work.temporaries is None else work.temporaries // 2**20,
        "peak_mb": peak_mb(), **_device_peak(device), "devices": jax.device_count(),
        "platform": device.platform, "dtype": work.dtype, **work.more, **where(device)}


def where(device=None):
    """Fields that say what was measured: commit, machine, version of jax."""
    return {"commit": commit(), "machine": machine(device), "jax": jax.__version__}


def _digits(x):
    """`x` to four digits that count."""
    rounded = float(f"{x:.4g}")
    return int(rounded) if rounded >= 1e4 else rounded


def peak_mb():
    """MB of main memory that this process has held at most.

    ru_maxrss starts from that of the process which started this one, so it is asked only where
    there is no VmHWM.
    """
    try:
        lines = pathlib.Path("/proc/self/status").read_text().splitlines()
        held = next(line for line in lines if line.startswith("VmHWM:"))
        return int(held.split()[1]) // 1024
    except (OSError, StopIteration):
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most // (2**20 if sys.platform == "darwin" else 2**10)


def _device_peak(device):
    """{"device_peak_mb"} of an accelerator; a CPU has none of its own."""
    held = device.memory_stats() if device.platform != "cpu" else None
    return {"device_peak_mb": held["peak_bytes_in_use"] // 2**20} if held else {}


def commit():
    """Short hash of the checkout, with -dirty where files were changed; "unknown" if installed."""
    root = pathlib.Path(clo_gen.__file__).parent.parent
    if not (root / ".git").exists():  # perhaps inside a checkout of something else
        return "unknown"
    try:
        done = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude", "*"],
                              cwd=root, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"


def machine(device=None):
    """CPU model or kind of the accelerator, and cores."""
    name = platform.processor() or platform.machine()
    if device is not None and device.platform != "cpu":
        name = device.device_kind
    elif os.path.exists("/proc/cpuinfo"):
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines
                     if line.startswith("model name")), name)
    return f"{name}, {cores()} cores"
