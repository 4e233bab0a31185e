"""How the processes of a run on one machine find each other: by a file, written for Lightning 2.6 and torch 2.13.

torch's own way is a server that listens on every interface and asks nobody who they are; Lightning offers no other.
"""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed

_FILE = "PLUMBLINE_RENDEZVOUS"
_INTERFACE = "GLOO_SOCKET_IFNAME"


@contextmanager
def by_file() -> Iterator[None]:
    """Inside, this process and those that it starts meet at a file, and talk over the loopback interface."""
    before = {name: os.environ.get(name) for name in (_FILE, _INTERFACE)}
    with tempfile.TemporaryDirectory() as folder:
        os.environ[_FILE] = str(Path(folder) / "rendezvous")
        loopback = next((name for _, name in socket.if_nameindex() if name in ("lo", "lo0")), None)
        if loopback:
            os.environ.setdefault(_INTERFACE, loopback)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


def meet(strategy: Any) -> None:
    """Has a strategy of several processes meet at the file of ``by_file``, where there is one."""
    if (path := os.environ.get(_FILE)) is None:
        return
    set_up = strategy.setup_distributed

    def setup_distributed() -> None:
        strategy.set_world_ranks()
        device = strategy.root_device
        torch.distributed.init_process_group(
            strategy._get_process_group_backend(),
            init_method=Path(path).as_uri(),
            rank=strategy.global_rank,
            world_size=strategy.world_size,
            timeout=strategy._timeout,
            device_id=device if device.type != "cpu" else None,
        )
        set_up()  # the rest of it; what is there already, it leaves alone

    strategy.setup_distributed = setup_distributed
