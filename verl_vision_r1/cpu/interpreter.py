"""A replacement for `python` that runs its command in a fork of a preloaded process (see `preloaded`).

Started as `python -IS interpreter.py SOCKET [-u] [-B]`, followed by `SCRIPT.py ...`, `-c CODE ...` or `-m MODULE ...`,
which are the ways in which Ray, multiprocessing and vLLM start processes. Other commands are run by the real
interpreter. It imports only the standard library, to start fast.
"""

import json
import os
import socket
import sys


def main(address: str, arguments: list[str]) -> int:
    """Send the command, environment, working directory and open files; then wait for the exit status."""
    command = arguments.copy()
    while command and command[0] in ("-u", "-B"):
        del command[0]
    connection = socket.socket(socket.AF_UNIX)
    try:
        if not command or not (command[0] in ("-c", "-m") or command[0].endswith(".py")):
            raise OSError("not a command that a copy can run")
        connection.connect(address)
    except OSError:
        os.execv(sys.executable, [sys.executable, *arguments])
    files = [int(name) for name in os.listdir("/proc/self/fd")]
    files = [file for file in files if file != connection.fileno() and os.path.exists(f"/proc/self/fd/{file}")]
    request = {"command": command, "environment": dict(os.environ), "folder": os.getcwd(), "files": files}
    content = json.dumps(request).encode()
    socket.send_fds(connection, [len(content).to_bytes(8, "big")], files)
    connection.sendall(content)
    status = connection.recv(1)
    return status[0] if status else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
