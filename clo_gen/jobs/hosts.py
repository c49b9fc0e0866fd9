"""Several processes that share a run: they wait for each other, and end together."""

import contextlib
import json
import signal
import threading
import time

from clo_gen.io.problems import InputError, Interrupted, WriteError

LOOK = 0.05  # seconds between two looks at the others
# A dead process is noticed after so many seconds; JAX itself waits for 100.
HEARTBEAT = 30
_ENDED, _AT = "clo_gen/ended/", "clo_gen/at/"
_KINDS = {kind.__name__: kind for kind in (InputError, WriteError)}


class Hosts:
    """This process among those that share a run; all write to the same folder.

    `store` is a key-value store that all of them see, such as JAX's distributed client. What ends
    one process stands there, and the others raise it at their next wait or block. Processes that
    have ended so stay ended: a new run wants new processes.
    """

    def __init__(self, process=0, processes=1, store=None):
        self.process, self.processes, self.store = process, processes, store
        self._waits = 0

    @contextlib.contextmanager
    def together(self):
        """What is raised inside, Ctrl-C too, ends the other processes as well."""
        try:
            yield
        except BaseException as error:
            if self.processes > 1:
                said = {"process": self.process, "kind": _kind(error), "text": str(error)}
                with contextlib.suppress(RuntimeError):  # another one was first
                    self.store.key_value_set(_ENDED + "first", json.dumps(said))
            raise

    def news(self):
        """What ended another process, as an exception to raise; None while nothing did."""
        found = self.store.key_value_dir_get(_ENDED) if self.processes > 1 else ()
        if not found:
            return None
        said = json.loads(found[0][1])
        return _KINDS.get(said["kind"], Interrupted)(f"process {said['process']}: " + (
            said["text"] if said["kind"] in _KINDS else
            f"{said['kind']}{': ' if said['text'] else ''}{said['text']}"))

    def wait(self):
        """Until every process has come here. Raises what ended one of them."""
        if self.processes == 1:
            return
        place = f"{_AT}{self._waits}/"
        self._waits += 1
        self.store.key_value_set(f"{place}{self.process}", "")
        while len(self.store.key_value_dir_get(place)) < self.processes:
            if news := self.news():
                raise news
            time.sleep(LOOK)  # in Python, so that Ctrl-C is heard


def _kind(error):
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    return next((name for name, kind in _KINDS.items() if isinstance(error, kind)),
                type(error).__name__)


def join(coordinator, process=None, processes=None):
    """Hosts of a process that joins the others at `coordinator` (host:port), or "auto": as the
    cluster says (Slurm, Open MPI, Kubernetes). Raises InputError when that is no place to meet.

    Called before jax starts. Where the others do not come within five minutes JAX ends the process
    (exit code 134); Ctrl-C ends it at once.
    """
    import jax

    # The public functions of jax are collectives: a process could neither look without waiting,
    # nor leave alone, nor be interrupted while it waits.
    from jax._src import distributed

    host, _, port = coordinator.rpartition(":")
    if coordinator != "auto" and not (host and port.isdecimal() and 0 < int(port) < 65_536):
        raise InputError(f"--coordinator {coordinator}: want host:port, or auto on a cluster")
    where = () if coordinator == "auto" else (coordinator, processes, process)
    try:
        with _ctrl_c_ends():
            jax.distributed.initialize(*where, heartbeat_timeout_seconds=HEARTBEAT)
    except (ValueError, RuntimeError, IndexError) as error:
        raise InputError(f"--coordinator {coordinator}: {str(error).splitlines()[0]}; want a free "
                         "host:port, or auto on a cluster") from None
    return Hosts(jax.process_index(), jax.process_count(), distributed.global_state.client)


@contextlib.contextmanager
def _ctrl_c_ends():
    """Ctrl-C ends the process: a wait inside JAX would not hear it as Python does."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
