"""The servers that the kit starts, as anybody else on the network meets them; and kernels of the course.

Each is really started. Requests are made by hand: a browser would not send the wrong `Host` that a page of
elsewhere can send (DNS rebinding).
"""

import http.client
import shlex
import subprocess
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit
from uuid import uuid4

import nbformat
import psutil
import pytest
from browser import jupyterlab, standalone, write_notebook
from repository import ROOT
from videos import write_numbered

from affkit_course.run import run_notebook

pytestmark = pytest.mark.slow  # starts servers
GENERATOR = ROOT / "data_samples" / "weights" / "gan_1" / "generator.safetensors"
EVIL = "evil.example"
CHANNELS = """\
from ipykernel.kernelapp import IPKernelApp

kernel = IPKernelApp.instance()
print(kernel.transport, kernel.iopub_thread._pipe_port)
"""


def listening() -> set[tuple[str, int]]:
    """The addresses and ports on which this process, and those that it has started, wait for others."""
    own, found = psutil.Process(), set()
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            sockets = process.net_connections("tcp")
            found |= {tuple(one.laddr) for one in sockets if one.status == psutil.CONN_LISTEN}
    return found


def is_open(host: str) -> bool:
    """Whether other machines can reach this address; an IPv6 one may be an IPv4 one in disguise."""
    address = ip_address(host)
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return not address.is_loopback


def answer(port: int, path: str, host: str = "", **headers: str) -> tuple[int, str]:
    """Status and place of redirection of a request without a token."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}", **headers})
    reply = connection.getresponse()
    reply.read()
    connection.close()
    return reply.status, reply.headers.get("Location", "")


def problems(port: int, paths: list[str], websocket: str) -> list[str]:
    """What is open to others, or given to one without the token or from elsewhere: it should be nothing."""
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"}
    upgrade["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    addresses = listening()
    assert port in {number for _, number in addresses}
    found = [f"{host} is open" for host, _ in addresses if is_open(host)]
    for path in paths:
        status, place = answer(port, path)
        if not (status in (403, 404) or status == 302 and "/login" in place):
            found.append(f"{path} without a token: {status} {place}")
        for host in (EVIL, f"{EVIL}:{port}", "192.0.2.1"):
            if (status := answer(port, path, host)[0]) not in (403, 404):
                found.append(f"{path} as {host}: {status}")
    for host, origin in (("", f"http://{EVIL}"), (EVIL, f"http://{EVIL}"), ("", f"http://127.0.0.1:{port}")):
        if (status := answer(port, websocket, host, Origin=origin, **upgrade)[0]) not in (403, 404):
            found.append(f"{websocket} as {host or 'this machine'} from {origin}: {status}")
    return found


def test_an_open_address_is_seen():
    assert not is_open("127.0.0.1") and not is_open("::1") and not is_open("::ffff:127.0.0.1")
    assert all(map(is_open, ("0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1")))


def test_jupyterlab_of_make_lab_is_for_this_machine_and_its_token_only(tmp_path):
    dry = subprocess.run(["make", "-n", "lab"], cwd=ROOT, capture_output=True, text=True, check=True)
    (line,) = [line for line in dry.stdout.splitlines() if "jupyter lab" in line]
    with jupyterlab(ROOT, tmp_path, shlex.split(line.partition("jupyter lab")[2])) as address:
        port = urlsplit(address).port
        assert answer(port, "/login")[0] == 200 and answer(port, "/login", EVIL)[0] == 403
        paths = ["/lab", "/lab/tree/notebooks/00_start_here.ipynb", "/files/README.md"]
        paths += ["/api/contents/README.md", "/api/kernels", "/api/sessions", "/api/terminals", "/tree"]
        assert problems(port, paths, f"/api/kernels/{uuid4()}/channels") == []


@pytest.mark.parametrize("command", ["annotate", "browse"])
def test_a_page_of_its_own_is_for_this_machine_and_its_token_only(command, tmp_path):
    words = ["annotate", "clip.mp4"]
    if command == "browse":
        words = ["browse", "--checkpoint", str(GENERATOR)]
    write_numbered(tmp_path / "clip.mp4", 5)
    with standalone(tmp_path, *words, "--no-browser") as address:
        parts = urlsplit(address)
        path = f"/?{parts.query}" if command == "annotate" else "/login"  # a page of browse takes its time
        assert answer(parts.port, path, f"localhost:{parts.port}")[0] == 200
        assert answer(parts.port, f"/?{parts.query}", EVIL)[0] == 403  # also with the token
        paths = ["/", "/voila/files/clip.mp4", "/voila/files/../clip.mp4", "/api/kernels", "/voila/tree"]
        paths += [f"/api/kernels/{uuid4()}", "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd", "/?token=wrong"]
        assert problems(parts.port, paths, f"/api/kernels/{uuid4()}/channels") == []


def test_a_kernel_of_the_course_is_reached_over_files(tmp_path):
    """One port is left, which ipykernel opens whatever it is told: it takes what forks of the kernel print,
    from this machine, with a secret of 16 bytes, and runs nothing."""
    path = write_notebook(tmp_path / "00_a.ipynb", CHANNELS)
    before, seen = listening(), []
    out = tmp_path / "out.ipynb"
    ended = run_notebook(path, out, on_cell=lambda: seen.append(listening() - before))
    assert ended.ok, ended.error
    printed = nbformat.read(out, as_version=4).cells[0].outputs[0].text
    transport, port = printed.split()
    assert transport == "ipc" and seen == [{("127.0.0.1", int(port))}]
