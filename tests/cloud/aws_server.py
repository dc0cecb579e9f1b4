"""Starts the AWS of these tests; runs in LocalStack's own Python, not in the project's.

`tests/cloud/cloud.py` starts it and holds its standard input: when that ends, so does this process,
however the other one came to its end.
"""

import os
import signal
import sys
from threading import Thread

from localstack.runtime.main import main

from tests.cloud import differences, lambda_processes


def _end_with_standard_input() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    Thread(target=_end_with_standard_input, daemon=True).start()
    lambda_processes.install()
    differences.mend()
    main()
