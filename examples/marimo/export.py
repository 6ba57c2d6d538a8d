"""Runs the notebook by `marimo export html` against a hub of its own, and looks for what it has to show."""

import os
import re
import subprocess
import sys
from pathlib import Path

from hub_process import Home, Hub

NOTEBOOK = Path(__file__).with_name("local_silicon.py")

with Home("[compute]\nmemory_mib = 1024\n") as home, Hub(home):
    page = home.path / "notebook.html"
    environment = {**home.environment(), "HEARTH_BRIDGE": str(home.path / ".local/share/hearth/bridge.sock"),
                   "HEARTH_LIBRARY": os.environ["HEARTH_LIBRARY"], "PYTHONPATH": os.environ["PYTHONPATH"], "MARIMO_SKIP_UPDATE_CHECK": "1"}
    done = subprocess.run([sys.executable, "-m", "marimo", "export", "html", str(NOTEBOOK), "-o", str(page), "--no-sandbox"],
                          env=environment, capture_output=True, text=True, timeout=300)
    text = page.read_text() if page.exists() else ""
    # Figures, and not just the code that prints them.
    wanted = [r"\d\.\d{3} TFLOPS", r"\d % of this machine", r"\d GB/s", "flowchart LR", "says for one answer|receipt"]
    missing = [word for word in wanted if not re.search(word, text)]
    if done.returncode or missing:
        sys.exit(f"marimo ended with {done.returncode}, the page lacks {missing}\n{done.stdout}\n{done.stderr}")
    print(f"the notebook ran: {len(text)} bytes of HTML")
