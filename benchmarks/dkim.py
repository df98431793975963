"""Measure what DKIM signatures cost: the engine alone, over loopback, with each kind of key.

Runs with and without keys alternate, so that all meet the same load. The processor time is that of
the whole process, with the threads that sign; the rate is that of the sender.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import uvloop
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from benchmarks import engine_alone, results
from benchmarks.sinks import default_kind, sinks
from mailsluice.smtp.dkim.settings import Dkim

_SESSIONS = 20


def settings() -> dict[str, Dkim]:
    """The keys that are compared, made for this run."""
    rsa, ed25519 = _pem(generate_private_key(65_537, 2_048)), _pem(Ed25519PrivateKey.generate())
    domain = "example.com"
    return {
        "not signed": Dkim(),
        "Ed25519": Dkim(domain=domain, selector="ed", private_key=ed25519),
        "RSA, 2048 bits": Dkim(domain=domain, selector="rsa", private_key=rsa),
        "both": Dkim(
            domain=domain,
            selector="rsa",
            private_key=rsa,
            second_selector="ed",
            second_private_key=ed25519,
        ),
    }


def _pem(key: Any) -> str:
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return pem.decode()


def run(*, messages: int = 10_000, repeat: int = 3) -> None:
    """Measure, print and save."""
    before = results.machine()
    runs: dict[str, list[tuple[float, float]]] = {}
    for _ in range(repeat):
        for name, dkim in settings().items():
            runs.setdefault(name, []).append(_send(messages, dkim))
    each = {
        name: {
            "per_second": median(rate for rate, _ in found),
            "cpu_us": median(cpu for _, cpu in found),
        }
        for name, found in runs.items()
    }
    rows = [
        [name, f"{found['per_second']:,.0f}", f"{found['cpu_us']:.0f}"]
        for name, found in each.items()
    ]
    print(results.table(["signature", "messages a second", "processor time a message, us"], rows))
    results.save("dkim", before, messages=messages, kinds=each)


def _send(messages: int, dkim: Dkim) -> tuple[float, float]:
    with sinks(2, default_kind()) as there, tempfile.TemporaryDirectory() as folder:
        cpu, begun = time.process_time(), time.perf_counter()
        ports = [sink.port for sink in there]
        uvloop.run(engine_alone.send(messages, ports, _SESSIONS, Path(folder), dkim=dkim))
        seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return messages / seconds, cpu / messages * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dkim", description=__doc__)
    parser.add_argument("--messages", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    run(messages=given.messages, repeat=given.repeat)


if __name__ == "__main__":
    main()
