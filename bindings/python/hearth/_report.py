"""What a run was: numbers beside the machine's roofs."""

import html


def _seconds(value):
    for unit, scale in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if value * scale >= 1 or unit == "µs":
            return f"{value * scale:.3g} {unit}"


class Report:
    """Fields as in hearth_report: times in seconds, gflops and gbps in 10^9 a second.

    `roof_gflops` and `roof_gbps` are 0 until hearth.roofs() has been called; they are the processor's.  `device` is the
    device that computed, as its driver names it; "": the processor.
    """

    FIELDS = ("is_verified", "is_cached", "is_jailed", "n_copies", "n_checks", "t_compile", "t_kernel", "t_total", "flops",
              "bytes", "gflops", "gbps", "roof_gflops", "roof_gbps", "error_ulps", "out_hash", "generation")

    def __init__(self, struct, kernel=""):
        self.kernel = kernel
        for field in self.FIELDS:
            setattr(self, field, getattr(struct, field))
        self.device = struct.device.decode("utf-8", "replace")

    @property
    def copies(self):
        return self.n_copies

    @property
    def tflops(self):
        return self.gflops / 1e3

    def rows(self):
        """(what, figure, share of the roof) of each line that there is something to say in."""
        def share(value, roof):
            return f"{100 * value / roof:.0f} % of {roof:.4g}" if roof else ""
        rows = [("kernel", _seconds(self.t_kernel), ""), ("whole call", _seconds(self.t_total), "")]
        if self.flops:
            rows.append(("speed", f"{self.gflops:.4g} Gflop/s", share(self.gflops, self.roof_gflops)))
        if self.bytes:
            rows.append(("memory", f"{self.gbps:.4g} GB/s", share(self.gbps, self.roof_gbps)))
        rows.append(("copies", str(self.n_copies), ""))
        if self.device:
            rows.append(("device", self.device, ""))
        rows.append(("verified", "yes" if self.is_verified else "no", "in a jail" if self.is_jailed else "a kernel of the house"))
        if self.n_checks:
            rows.append(("checks", str(self.n_checks), f"at most {self.error_ulps:.3g} ULP off"))
        return rows

    def __repr__(self):
        return f"<{self.kernel or 'run'}: " + ", ".join(f"{a} {b}{' (' + c + ')' if c else ''}" for a, b, c in self.rows()) + ">"

    def _repr_html_(self):
        cells = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows())
        return f"<table><caption>{html.escape(self.kernel)}</caption>{cells}</table>"

    def _display_(self):  # marimo
        return Html(self._repr_html_())


class Html:
    def __init__(self, text):
        self.text = text

    def _repr_html_(self):
        return self.text

    def _mime_(self):
        return ("text/html", self.text)


class Roofs:
    """What this machine can do at most: `gflops_f32`, `gflops_f64`, `gbps_read`, `gbps_stream`, with `n_threads`."""

    def __init__(self, struct):
        for field in ("n_threads", "gflops_f32", "gflops_f64", "gbps_read", "gbps_stream"):
            setattr(self, field, getattr(struct, field))

    def __repr__(self):
        return (f"<roofs of {self.n_threads} threads: {self.gflops_f32:.4g} Gflop/s f32, {self.gflops_f64:.4g} Gflop/s f64, "
                f"{self.gbps_read:.4g} GB/s read, {self.gbps_stream:.4g} GB/s streamed>")
