"""Memory of a training on a CPU: what one step frees, the next one takes."""

import ctypes

# The numbers of mallopt(3).
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
NEVER = 2**31 - 1


def keep_freed_memory() -> None:
    """Let glibc's malloc keep what is freed, from now on; another system's goes on as it does.

    It would return each large activation to the system, and pay for all of its pages again in the next step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_MAX, 0)
    mallopt(M_TRIM_THRESHOLD, NEVER)
