"""Start a program with SIGUSR2 held back: python hold_warnings.py PROGRAM ARGUMENT ...

SLURM may warn a job while its Python is still importing. Without a handler the signal would end it, and ignored it would be
lost; held back, it comes when training lets it in (see `StopRequest`).
"""

import os
import signal
import sys

if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
    os.execv(sys.argv[1], sys.argv[1:])
