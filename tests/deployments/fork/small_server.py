"""A fork server whose forks run the code that is their argument. Its own code is in a given folder."""

import errno
import importlib
import os
import sys
import threading
import time
from pathlib import Path

from deployments.fork.child import Ending
from deployments.fork.code import Code
from deployments.fork.protocol import FORK_SERVER
from deployments.fork.server import ForkServer


def no_fork():
    raise OSError(errno.EAGAIN, "Resource temporarily unavailable")


def main():
    folder = Path(sys.argv[1])
    environment, ending = dict(os.environ), Ending()
    code = Code([folder])
    sys.path[0] = str(folder)
    of_the_server = importlib.import_module("of_the_server")

    match sys.argv[2:]:
        case ["no-fork"]:
            os.fork = no_fork
        case ["thread"]:
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    child = ForkServer(Path(os.environ[FORK_SERVER]), code=code, environment=environment).serve()
    child.run(lambda arguments: exec(arguments[1], {"of_the_server": of_the_server}), ending)


if __name__ == "__main__":
    main()
