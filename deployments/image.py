"""`make image`: the Dockerfile, built by buildah without a container engine, as root.

The base image is the Dockerfile's, or what `--base` names (with its digest, say). `--debian`
makes one from Debian's packages where no registry of images can be reached: Debian 12, Python 3.11.
Settings of pip and uv (PIP_..., UV_..., SSL_CERT_FILE) hold for the build and leave no trace in it.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from mailsluice.core.errors import MailsluiceError

ROOT = Path(__file__).resolve().parents[1]
IMAGE = "mailsluice"
_DEBIAN = "bookworm"
_DEBIAN_BASE = "localhost/mailsluice-debian"
_PACKAGES = "python3,python3-venv,ca-certificates"
_CERTIFICATES = "/etc/ssl/certs"


class ImageError(MailsluiceError):
    """The image cannot be built or run."""


def run(*command: str) -> str:
    """Run a program, and return its output. Raises ImageError with its last lines if it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        words = " / ".join(done.stderr.strip().splitlines()[-3:])
        raise ImageError(f"{shlex.join(command[:3])} ... failed: {words}")
    return done.stdout.strip()


def require(*programs: str) -> None:
    """Raise ImageError if a program is missing, or the caller is not root."""
    missing = [one for one in programs if not shutil.which(one, path=os.environ["PATH"] + ":/sbin")]
    if missing:
        raise ImageError(f"not on this machine: apt-get install {' '.join(missing)}")
    if os.geteuid() != 0:
        raise ImageError("images are built as root here: sudo make image")


def debian_base() -> str:
    """The name of a base image made from Debian's packages; made once."""
    if run("buildah", "images", "--quiet", "--filter", f"reference={_DEBIAN_BASE}"):
        return _DEBIAN_BASE
    require("debootstrap")
    with tempfile.TemporaryDirectory(prefix="mailsluice-base-", dir="/var/tmp") as folder:
        tree = Path(folder) / "tree"
        run("debootstrap", "--variant=minbase", f"--include={_PACKAGES}", _DEBIAN, str(tree))
        (tree / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        for leftover in [
            *tree.glob("var/cache/apt/archives/*.deb"),
            *tree.glob("var/lib/apt/lists/*_*"),
        ]:
            leftover.unlink()
        container = run("buildah", "from", "scratch")
        try:
            run("buildah", "add", "--quiet", container, str(tree), "/")
            run("buildah", "commit", "--quiet", container, _DEBIAN_BASE)
        finally:
            run("buildah", "rm", container)
    return _DEBIAN_BASE


def build(base: str | None) -> None:
    """Build the image under the name IMAGE."""
    given = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "UV_")) or name == "SSL_CERT_FILE"
    }
    with tempfile.NamedTemporaryFile("w", prefix="mailsluice-packages-") as settings:
        settings.writelines(f"{name}={shlex.quote(value)}\n" for name, value in given.items())
        settings.flush()
        command = ["buildah", "bud", "--isolation", "chroot", "--format", "docker", "--quiet"]
        command += ["--secret", f"id=packages,src={settings.name}", "--tag", IMAGE]
        command += [
            "--volume",
            f"{_CERTIFICATES}:{_CERTIFICATES}:ro",
        ]  # the machine's, as pip's are
        command += ["--build-arg", f"BASE={base}"] if base else []
        run(*command, str(ROOT))


def size() -> str:
    """The size of the image with its base."""
    return run("buildah", "images", "--format", "{{.Size}}", IMAGE)


def main() -> None:
    """Build the image, and print its size."""
    parser = argparse.ArgumentParser(prog="python -m deployments.image", description=__doc__)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--base", help="another base image, for example with its digest")
    which.add_argument("--debian", action="store_true", help="a base from Debian's packages")
    given = parser.parse_args()
    try:
        require("buildah")
        build(debian_base() if given.debian else given.base)
        print(f"Built {IMAGE}: {size()}", flush=True)
    except ImageError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
