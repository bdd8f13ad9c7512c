"""No test may reach the network. This folder is on PYTHONPATH while the tests run, so that every Python
process they start (kernels, the command line, JupyterLab) loads this file first.
"""

import os
import socket

LOCAL = {"localhost", "127.0.0.1", "::1", "0.0.0.0", "::", "", None}
_connect, _getaddrinfo = socket.socket.connect, socket.getaddrinfo


class NetworkUsed(RuntimeError):
    """Something tried to leave this machine."""


def _guarded_connect(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and address[0] not in LOCAL:
        raise NetworkUsed(f"connection to {address[0]} while testing")
    return _connect(self, address)


def _guarded_getaddrinfo(host, *args, **kwargs):
    name = host.decode() if isinstance(host, bytes) else host
    if name not in LOCAL and name != socket.gethostname():
        raise NetworkUsed(f"look-up of {name} while testing")
    return _getaddrinfo(host, *args, **kwargs)


socket.socket.connect, socket.getaddrinfo = _guarded_connect, _guarded_getaddrinfo

if os.environ.get("AFFKIT_FIGURES"):  # a kernel whose figures are looked at
    __import__("watch_figures")
