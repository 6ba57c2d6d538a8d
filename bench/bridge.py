"""What it costs to have a kernel look at a tensor: over the bridge, and by HTTP.

The kernel touches both ends of the tensor, so that all of the time is the way there and back.

  bridge, C, Python       a registered run: the tensor lies in the pool, the call was bound by an earlier run; the same
  and Julia               from Julia where there is one (scripts/julia)
  HTTP raw, base64, JSON  the tensor in a request, its encoding and decoding included, done fairly: one connection that
                          stays, no Nagle delay, one write for head and body, reading into memory that is there

  supersede               from asking for a newer run until it is done, while an endless one runs: one that listens, and
                          one that does not (its worker is replaced)

Bars (medians): below 10 us from C and 25 us from Python and Julia at every size, flat within 2x from the smallest to the largest,
no copies; a newer run done within 5 ms.  Needs python3 alone; array and base64 are the standard library's, which are written in C.
"""

import argparse
import array
import base64
import csv
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from results import ROOT, cpu_name, exit_with

BUILT = Path(os.environ.get("BUILT", ROOT / "build/release/bindings/c"))
US_MAX = {"C": 10, "Python": 25, "Julia": 25}
SUPERSEDE_US_MAX, FLATNESS_MAX = 5000, 2
SECONDS_MAX = 2.0  # For the samples of one row.
HTTP_BYTES_MAX = {"http raw": 1 << 30, "http base64": 1 << 26, "http json": 1 << 24}


# ---- HTTP, at its best

def read_exactly(connection, view):
    while view:
        n = connection.recv_into(view)
        if n == 0:
            raise EOFError
        view = view[n:]


def read_message(connection):
    """(first line, body) of a request or an answer."""
    head = b""
    while b"\r\n\r\n" not in head:
        part = connection.recv(65536)
        if not part:
            raise EOFError
        head += part
    head, _, begun = head.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    body = bytearray(length)
    body[: len(begun)] = begun
    read_exactly(connection, memoryview(body)[len(begun):])
    return head.split(b"\r\n")[0], body


def send_message(connection, first_line, body):
    parts = [memoryview(f"{first_line}\r\nContent-Length: {len(body)}\r\n\r\n".encode()), memoryview(body)]
    while parts:
        sent = connection.sendmsg(parts)
        while parts and sent >= len(parts[0]):
            sent -= len(parts.pop(0))
        if parts:
            parts[0] = parts[0][sent:]


DECODE = {
    "http raw": lambda body: memoryview(body).cast("d"),
    "http base64": lambda body: memoryview(base64.b64decode(json.loads(body)["tensor"])).cast("d"),
    "http json": lambda body: json.loads(body)["tensor"],
}
ENCODE = {
    "http raw": lambda tensor: memoryview(tensor).cast("B"),
    "http base64": lambda tensor: json.dumps({"tensor": base64.b64encode(tensor).decode()}).encode(),
    "http json": lambda tensor: json.dumps({"tensor": tensor.tolist()}).encode(),
}


def serve_http():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while True:
                first, body = read_message(connection)
                tensor = DECODE[first.split()[1].decode().strip("/").replace("-", " ")](body)
                send_message(connection, "HTTP/1.1 200 OK", str(tensor[0] + tensor[-1]).encode())
        except EOFError:
            connection.close()


# ---- Measuring

def sample(run):
    """Times of `run(i)` in microseconds, sorted; as many as SECONDS_MAX allows, at least three."""
    run(0)
    times, end = [], time.perf_counter() + SECONDS_MAX
    while len(times) < 3 or (time.perf_counter() < end and len(times) < 5000):
        begun = time.perf_counter()
        run(len(times))
        times.append((time.perf_counter() - begun) * 1e6)
    return sorted(times)


def row(way, n_bytes, times, copies=0):
    return {"way": way, "bytes": n_bytes, "min_us": times[0], "median_us": statistics.median(times),
            "p99_us": times[len(times) * 99 // 100], "samples": len(times), "copies": copies}


def rows_from_c(path, n_bytes_max):
    done = subprocess.run([BUILT / "hearth_bridge_rtt", path, str(n_bytes_max)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"hearth_bridge_rtt: {done.stderr}")
    for line in done.stdout.splitlines():
        name, n_bytes, low, median, p99, copies = line.split(",")
        way = name.replace("_", ", ") if name.startswith("supersede") else f"C, {'worker' if 'worker' in name else 'hub'}"
        yield {"way": way, "bytes": int(n_bytes), "min_us": float(low),
               "median_us": float(median), "p99_us": float(p99), "samples": 5000, "copies": int(copies)}


def rows_from_python(path, sizes):
    os.environ["HEARTH_LIBRARY"] = str(BUILT / "libhearth.so")
    sys.path.insert(0, str(ROOT / "bindings/python"))
    import hearth
    context = hearth.connect(path)
    for place in ("hub", "worker"):
        kernel = hearth.kernel(f"touch_{place}")
        rows = {n: (hearth.empty(n // 8, "f64"), hearth.empty(1, "f64"), []) for n in sizes}
        views = {n: (x.memoryview(), out.memoryview()) for n, (x, out, _) in rows.items()}
        for view, _ in views.values():
            view[0] = 0
        copies = 0
        # The sizes take turns: what else the cores do changes from moment to moment.
        for i in range(-200, 5000):
            for n, (x, out, times) in rows.items():
                view, result = views[n]
                begun = time.perf_counter()
                view[-1] = i
                kernel(x, 5, out=out)
                done = result[0] == i
                times.append((time.perf_counter() - begun) * 1e6)
                assert done, "a wrong result"
                copies += kernel._report.n_copies
        for n, (_, _, times) in rows.items():
            yield row(f"Python, {place}", n, sorted(times[200:]), copies)
        del views, rows, view, result, x, out
    context.close()


def rows_from_julia(path, sizes):
    found = subprocess.run([ROOT / "scripts/julia"], stdout=subprocess.PIPE, text=True)
    if found.returncode:
        return  # It has said why.
    environment = {**os.environ, "HEARTH_LIBRARY": str(BUILT / "libhearth.so"), "JULIA_LOAD_PATH": f"@:{ROOT / 'bindings/julia'}:@stdlib",
                   "JULIA_DEPOT_PATH": str(Path(path).parent / "julia")}
    done = subprocess.run([found.stdout.strip(), "--startup-file=no", ROOT / "bench/bridge_rtt/rtt.jl", path, *map(str, sizes)],
                          env=environment, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"rtt.jl ended with {done.returncode}")
    for line in done.stdout.splitlines():
        place, n_bytes, low, median, p99, copies = line.split(",")
        yield {"way": f"Julia, {place}", "bytes": int(n_bytes), "min_us": float(low), "median_us": float(median), "p99_us": float(p99),
               "samples": 5000, "copies": int(copies)}


def rows_from_http(sizes):
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True)
    try:
        connection = socket.create_connection(("127.0.0.1", int(server.stdout.readline())))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for way, n_bytes_max in HTTP_BYTES_MAX.items():
            for n_bytes in (n for n in sizes if n <= n_bytes_max):
                tensor = array.array("d", [0.25]) * (n_bytes // 8)

                def run(i):
                    tensor[-1] = i
                    send_message(connection, f"POST /{way.replace(' ', '-')} HTTP/1.1", ENCODE[way](tensor))
                    _, body = read_message(connection)
                    assert float(body) == i + 0.25

                yield row(way, n_bytes, sample(run), 0)
    finally:
        server.kill()
        server.wait()


def broken_bars(rows):
    for r in rows:
        if r["way"].startswith("supersede") and r["median_us"] > SUPERSEDE_US_MAX:
            yield f"{r['way']}: {r['median_us']:.0f} us, at most {SUPERSEDE_US_MAX}"
    for way in {r["way"] for r in rows if r["way"].split(",")[0] in US_MAX}:
        ours = [r for r in rows if r["way"] == way]
        limit = US_MAX[way.split(",")[0]]
        slowest = max(r["median_us"] for r in ours)
        if slowest > limit:
            yield f"{way}: {slowest:.1f} us, at most {limit}"
        if slowest > FLATNESS_MAX * min(r["median_us"] for r in ours):
            yield f"{way}: not flat within {FLATNESS_MAX}x"
        if any(r["copies"] for r in ours):
            yield f"{way}: {max(r['copies'] for r in ours)} copies"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out")
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--sizes", default="1024,1048576,67108864,1073741824")
    options = parser.parse_args()
    if options.serve:
        return serve_http()
    sizes = [int(n) for n in options.sizes.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/bridge.sock"
        host = subprocess.Popen([BUILT / "hearth_bridge_host", path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            assert host.stdout.readline() == "ready\n", "the bridge did not start"
            rows = [*rows_from_c(path, max(sizes)), *rows_from_python(path, sizes), *rows_from_julia(path, sizes)]
        finally:
            host.stdin.close()
            host.wait(10)
    rows += rows_from_http(sizes)

    best = {r["bytes"]: r["median_us"] for r in rows if r["way"] == "Python, worker"}
    print(f"{cpu_name()}, load {os.getloadavg()[0]:.1f}\n{'way':<20} {'bytes':>11} {'min us':>11} {'median us':>11} {'p99 us':>11} {'of Python':>10}")
    for r in rows:
        ratio = f"{r['median_us'] / best[r['bytes']]:.1f}x" if r["bytes"] in best else ""
        print(f"{r['way']:<20} {r['bytes']:>11} {r['min_us']:>11.2f} {r['median_us']:>11.2f} {r['p99_us']:>11.2f} {ratio:>10}")
    if options.out:
        with open(options.out, "w", newline="") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows({k: f"{v:.2f}" if isinstance(v, float) else v for k, v in r.items()} for r in rows)
    exit_with(list(broken_bars(rows)))


if __name__ == "__main__":
    main()
