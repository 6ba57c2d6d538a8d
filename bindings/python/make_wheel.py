#!/usr/bin/env python3
"""make_wheel.py LIBHEARTH_SO FOLDER: a wheel of the package with the library inside; prints its path.

Needs nothing but the standard library: a wheel is a zip file with three lists.
"""

import base64
import hashlib
import platform
import re
import sys
import zipfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    library, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    project = (HERE / "pyproject.toml").read_text()
    version, summary, python = (re.search(rf'(?m)^{key} = "(.*)"', project)[1] for key in ("version", "description", "requires-python"))
    tag = f"py3-none-linux_{platform.machine()}"
    info = f"hearth-{version}.dist-info"
    files = {f"hearth/{path.name}": path.read_bytes() for path in sorted((HERE / "hearth").glob("*.py"))}
    files["hearth/libhearth.so"] = library.read_bytes()
    files[f"{info}/METADATA"] = (f"Metadata-Version: 2.1\nName: hearth\nVersion: {version}\nSummary: {summary}\nRequires-Python: {python}\n"
                                 "Provides-Extra: numpy\nRequires-Dist: numpy; extra == 'numpy'\nDescription-Content-Type: text/markdown\n\n"
                                 + (HERE / "README.md").read_text()).encode()
    files[f"{info}/WHEEL"] = f"Wheel-Version: 1.0\nGenerator: hearth\nRoot-Is-Purelib: false\nTag: {tag}\n".encode()
    digests = {name: base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode() for name, data in files.items()}
    record = "".join(f"{name},sha256={digest},{len(files[name])}\n" for name, digest in digests.items()) + f"{info}/RECORD,,\n"
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"hearth-{version}-{tag}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**files, f"{info}/RECORD": record.encode()}.items():
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))  # The same bytes each time.
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    print(wheel)


if __name__ == "__main__":
    main()
