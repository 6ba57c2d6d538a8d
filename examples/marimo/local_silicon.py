import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Cloud logic, local silicon")


@app.cell
def _():
    import marimo as mo
    import numpy as np

    import hearth

    return hearth, mo, np


@app.cell
def _(mo):
    mo.md("""
    # Cloud logic, local silicon

    A model elsewhere writes a kernel once; this machine runs it as often as it is asked, on tensors that lie in memory which
    this notebook, the hub and the kernel's worker share. Start the hub with `hearth serve`, this notebook with
    `marimo edit examples/marimo/local_silicon.py`.
    """)
    return


@app.cell
def _(mo):
    mo.mermaid("""
    flowchart LR
      subgraph this machine
        notebook["notebook (libhearth.so)"]
        pool[("tensors: memfd pages")]
        hub["hearth serve"]
        worker["jailed worker"]
        shelf[("shelf of verified kernels")]
      end
      cloud["a cloud model"]
      notebook -- "values are bound once, over a socket" --> hub
      notebook -- "a run: one word in a shared page" --> worker
      notebook -- "a run of a built-in" --> hub
      notebook --- pool
      worker --- pool
      hub --- pool
      hub -- "a wish in words, within policy and budget" --> cloud
      cloud -- "a kernel's text" --> hub
      hub -- "compiled in a jail, held against an oracle" --> shelf
      shelf --> worker
    """)
    return


@app.cell
def _(hearth):
    roofs = hearth.roofs()  # Measured now, once: no figure below can exceed them.
    roofs
    return (roofs,)


@app.cell
def _(mo):
    mo.md("""
    ## A product of two matrices
    """)
    return


@app.cell
def _(hearth, mo):
    size = mo.ui.slider(steps=[128, 256, 512, 1024, 2048, 4096], value=512, label="matrix size", debounce=True, show_value=True)
    dtype = mo.ui.radio(options=["f32", "f64"], value="f32", inline=True)
    # The processor, and what OpenCL and NVIDIA's driver have here.
    device = mo.ui.radio(options=hearth.devices().get("gemm_f32", ["cpu"]), value="cpu", inline=True)
    mo.hstack([size, dtype, device], justify="start")
    return device, dtype, size


@app.cell
def _(device, dtype, hearth, mo, roofs, size):
    product = hearth.gemm(size.value, dtype=dtype.value, device=device.value)
    product = hearth.gemm(size.value, dtype=dtype.value, device=device.value)  # The first one paid for its memory.
    roof = roofs.gflops_f32 if dtype.value == "f32" else roofs.gflops_f64
    mo.vstack([
        mo.md(f"**{product.tflops:.3f} TFLOPS**, {100 * product.report.gflops / roof:.0f} % of this machine's {roof / 1000:.3f}"),
        product.report,
    ])
    return (product,)


@app.cell
def _(mo):
    mo.md("""
    ## Elementwise, without a copy

    `out = in * weights` on ten million numbers. The tensors are numpy arrays here and the kernel's memory there.
    """)
    return


@app.cell
def _(hearth, np):
    n = 10_000_000
    x, weights, out = hearth.empty(n), hearth.full(n, 0.5), hearth.empty(n)
    x.numpy()[:] = np.arange(n)
    multiply = hearth.kernel("mul_f32")
    for _ in range(3):
        multiply(x, weights, out=out)
    assert out.numpy()[1_000_000] == 500_000
    multiply
    return multiply, weights, x


@app.cell
def _(mo):
    mo.md("""
    ## A kernel of one's own

    A contract says what is right (the oracle, in double precision) and how exact; the hub compiles the source in a jail, tries it on
    sizes and inputs that it did not expect, and keeps it with a signed receipt. The second time it is only found.
    """)
    return


@app.cell
def _(hearth, mo, np):
    contract = """
    name = "damped"
    signature = "out f32[n], in f32[n], by f32"
    tolerance_ulps = 4
    flops = "3*n"
    oracle = '''
    HEARTH_ORACLE damped(f64* out, const f64* in, f64 by, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = in[k] / (1 + by * in[k] * in[k]); }
    '''
    source = '''
    HEARTH_KERNEL damped(f32* restrict out, const f32* restrict in, f32 by, i64 n) { for (i64 k = 0; k < n; ++k) out[k] = in[k] / (1 + by * in[k] * in[k]); }
    '''
    [ranges]
    in = [-10, 10]
    by = [0, 1]
    """
    try:
        damped = hearth.kernel(contract)
        damped(np.linspace(-5, 5, 1001, dtype="f4"), 0.5)
        own = damped
    except hearth.Error as error:  # No compiler, or no jail on this machine.
        own = mo.callout(f"No kernel: {error}", kind="warn")
    own
    return


@app.cell
def _(mo):
    mo.md("""
    ## A kernel in words

    The first time, the hub asks its adviser (`[advisor]` in `hearth.toml`), compiles what comes in a jail and holds it against
    an oracle; from then on it is on the shelf, and nothing is asked again.
    """)
    return


@app.cell
def _(mo):
    wish = mo.ui.text(value="the elementwise product of two f32 vectors, plus one", full_width=True, label="a kernel that computes")
    write = mo.ui.run_button(label="write it")
    mo.hstack([wish, write])
    return wish, write


@app.cell
def _(hearth, mo, weights, wish, write, x):
    mo.stop(not write.value and mo.app_meta().mode != "script", mo.md("*press the button*"))
    try:
        written = hearth.kernel(wish.value)
        result = written(x, weights)
        shown = mo.vstack([mo.md(f"`{written.signature}`"), written.report])
    except hearth.Error as error:
        shown = mo.callout(f"No kernel: {error}", kind="warn")
    except TypeError as error:
        shown = mo.callout(f"The kernel takes other values: {error}", kind="warn")
    shown
    return


@app.cell
def _(hearth, mo):
    mo.md(f"""
    ## A question

    > {hearth.ask("What is a receipt?", max_tokens=80)}
    """)
    return


if __name__ == "__main__":
    app.run()
