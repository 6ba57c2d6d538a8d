/* out = in * weights on a million floats, by a kernel of a running hub; on a device, where one is named.
 *
 *     hearth serve &
 *     cc -std=c99 examples/c/multiply.c -Iinclude -lhearth && ./a.out && ./a.out mul_f32@opencl
 */
#include <hearth/hearth.h>
#include <stdio.h>
#include <string.h>

static int failed(const char* what) {
  fprintf(stderr, "%s: %s\n", what, hearth_error());
  return 1;
}

int main(int argc, char** argv) {
  const int64_t shape[1] = {1000000};
  hearth_context* context = NULL;
  hearth_tensor* tensors[3] = {NULL, NULL, NULL};
  hearth_kernel* kernel = NULL;
  hearth_source source;
  hearth_value values[3];
  hearth_report report;
  int64_t i;

  if (hearth_open(NULL, &context) != HEARTH_OK) return failed("no hub");
  for (i = 0; i < 3; ++i) {
    if (hearth_alloc(context, HEARTH_F32, 1, shape, &tensors[i]) != HEARTH_OK) return failed("no memory");
    values[i] = hearth_of(tensors[i]);
  }
  for (i = 0; i < shape[0]; ++i) {
    ((float*)hearth_data(tensors[1]))[i] = (float)i;
    ((float*)hearth_data(tensors[2]))[i] = 0.5f;
  }

  memset(&source, 0, sizeof source);
  source.size = sizeof source;
  source.kind = HEARTH_BY_NAME;
  source.text = argc > 1 ? argv[1] : "mul_f32";
  if (hearth_kernel_open(context, &source, &kernel) != HEARTH_OK) return failed("no kernel");

  memset(&report, 0, sizeof report);
  report.size = sizeof report;
  for (i = 0; i < 10; ++i) {
    if (hearth_run(kernel, values, 3, NULL, &report) != HEARTH_OK) return failed("no result");
  }
  printf("out[10] = %g; %.1f us, %.1f GB/s, %u copies on %s\n", (double)((float*)hearth_data(tensors[0]))[10],
         report.t_kernel * 1e6, report.gbps, (unsigned)report.n_copies, report.device[0] != 0 ? report.device : "the processor");

  hearth_kernel_close(kernel);
  for (i = 0; i < 3; ++i) hearth_free(tensors[i]);
  hearth_close(context);
  return 0;
}
