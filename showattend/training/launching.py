"""Where the processes of a run come from, and how they end together.

By default there is one. Several are started by Lightning (the first one starts the others of its machine), by torchrun, or by a batch
system such as SLURM.
"""

import ctypes
import os
import signal
import time
from contextlib import suppress

import torch.distributed as dist
from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    LSFEnvironment,
    MPIEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from showattend.errors import InputError

# The id of the first process, in the environment of those that it starts.
FIRST_PROCESS = "SHOWATTEND_FIRST_PROCESS"
PR_SET_PDEATHSIG = 1  # of Linux's prctl
SECONDS_FOR_THE_FIRST = 3.0
ADDRESS = ("MASTER_ADDR", "MASTER_PORT", "NODE_RANK")


def cluster_environment(*, one_process: bool, nodes: int) -> ClusterEnvironment:
    """Who starts the processes, and which of them this one is.

    Raises:
        InputError: what SLURM was told does not fit, or nothing says where the other nodes are.
    """
    if one_process:
        # Under any batch system: where that starts several processes, each is a run of its own.
        environment = LightningEnvironment()
        environment.set_global_rank(0)
        return environment
    if TorchElasticEnvironment.detect():  # torchrun, which SLURM may have started
        return TorchElasticEnvironment()
    if SLURMEnvironment.detect():
        return _slurm_environment()
    for kind in (LSFEnvironment, MPIEnvironment):
        if kind.detect():
            return kind()
    if nodes > 1 and not all(name in os.environ for name in ADDRESS):
        raise InputError(
            f"trainer.num_nodes is {nodes}, and nothing says where the other nodes are: start the command with srun or torchrun, "
            f"or set {', '.join(ADDRESS)} on each node"
        )
    return LightningEnvironment()


def _slurm_environment() -> SLURMEnvironment:
    try:
        return SLURMEnvironment(auto_requeue=False)  # checkpoints at a signal are ours
    except RuntimeError as error:
        raise InputError(f"SLURM's variables do not fit: {' '.join(str(error).split())}") from error


def is_first_process(environment: ClusterEnvironment, *, one_process: bool) -> bool:
    """Whether this process writes the files and messages of the run."""
    return one_process or (environment.node_rank() == 0 and environment.local_rank() == 0)


def is_started_by_first() -> bool:
    """Whether the first process has started this one."""
    return os.environ.get(FIRST_PROCESS) == str(os.getppid())


def tie_to_first_process() -> None:
    """Let the kernel end this process as soon as the one that has started it ends, however it ends (Linux).

    Without that, those that wait for it in a GPU's collective would do so for half an hour.
    """
    if not is_started_by_first():
        os.environ[FIRST_PROCESS] = str(os.getpid())
        return
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if not is_started_by_first():  # it has ended in between
        os._exit(1)


def is_lost_connection(error: RuntimeError) -> bool:
    """Whether an error is that of a collective whose other processes have ended."""
    return dist.is_available() and dist.is_initialized() and (isinstance(error, dist.DistError) or "gloo" in str(error))


def wait_for_first_process() -> None:
    """In a process that the first one has started: wait before an error is reported.

    If the first process has the same error, it reports it and ends this process.
    """
    if is_started_by_first():
        time.sleep(SECONDS_FOR_THE_FIRST)
