/* hearth_bridge_rtt SOCKET MAX_BYTES: round trips of registered runs from C, a CSV row for each size and place; then how
 * long it takes until a newer run has taken the place of one that listens, and of one that does not. */
#include <hearth/hearth.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kWarmUps = 200, kRuns = 5000 };

static double now_us(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_size(const void* a, const void* b) {
  const double x = *(const double*)a, y = *(const double*)b;
  return x < y ? -1 : x > y;
}

static void check(hearth_status status) {
  if (status == HEARTH_OK) return;
  fprintf(stderr, "hearth_bridge_rtt: %s\n", hearth_error());
  exit(status == HEARTH_UNSUPPORTED ? 77 : 1);
}

/* One size's tensors and times. */
struct row {
  int64_t n_bytes;
  hearth_tensor *in, *out;
  double times[kRuns];
  uint32_t n_copies;
};

enum { kSizesMax = 8 };

static double timed_run(struct row* row, hearth_kernel* kernel, int i, hearth_report* report) {
  const int64_t n = row->n_bytes / 8;
  hearth_value values[3];
  double begun;
  values[0] = hearth_of(row->out), values[1] = hearth_of(row->in), values[2] = hearth_integer(5);
  begun = now_us();
  ((double*)hearth_data(row->in))[n - 1] = i;
  check(hearth_run(kernel, values, 3, NULL, report));
  if (((double*)hearth_data(row->out))[0] != i) {
    fprintf(stderr, "hearth_bridge_rtt: a wrong result\n");
    exit(1);
  }
  return now_us() - begun;
}

/* The sizes take turns: whether both ends have a core of their own changes from moment to moment, and makes more of a
 * difference than any size does. */
static void measure(hearth_context* context, const char* name, int64_t n_bytes_max) {
  static struct row rows[kSizesMax];
  const int64_t one = 1;
  int64_t n_bytes;
  int n_rows = 0, i, k;
  hearth_kernel* kernel = NULL;
  hearth_source source;
  hearth_report report;
  memset(&source, 0, sizeof source);
  source.size = sizeof source;
  source.kind = HEARTH_BY_NAME;
  source.text = name;
  memset(&report, 0, sizeof report);
  report.size = sizeof report;
  memset(rows, 0, sizeof rows);
  check(hearth_kernel_open(context, &source, &kernel));
  for (n_bytes = 1024; n_bytes <= n_bytes_max && n_rows < kSizesMax; n_bytes *= 32) {
    const int64_t n = n_bytes / 8;
    struct row* row = &rows[n_rows++];
    row->n_bytes = n_bytes;
    check(hearth_alloc(context, HEARTH_F64, 1, &n, &row->in));
    check(hearth_alloc(context, HEARTH_F64, 1, &one, &row->out));
    ((double*)hearth_data(row->in))[0] = 0; /* Recycled memory holds what it held. */
  }
  for (i = -kWarmUps; i < kRuns; ++i) {
    for (k = 0; k < n_rows; ++k) {
      const double time = timed_run(&rows[k], kernel, i, &report);
      if (i >= 0) rows[k].times[i] = time;
      rows[k].n_copies += report.n_copies;
    }
  }
  for (k = 0; k < n_rows; ++k) {
    double* const times = rows[k].times;
    qsort(times, kRuns, sizeof times[0], by_size);
    printf("%s,%lld,%.2f,%.2f,%.2f,%u\n", name, (long long)rows[k].n_bytes, times[0], times[kRuns / 2], times[kRuns * 99 / 100],
           (unsigned)rows[k].n_copies);
    hearth_free(rows[k].in);
    hearth_free(rows[k].out);
  }
  fflush(stdout);
  hearth_kernel_close(kernel);
}

/* A kernel's endless run, ended by a newer one. */
struct endless {
  hearth_kernel* kernel;
  hearth_value values[3];
  uint64_t generation;
  hearth_status status;
};

static hearth_status run_as(struct endless* run, int64_t what, uint64_t generation) {
  hearth_value values[3];
  hearth_run_options options;
  memcpy(values, run->values, sizeof values);
  values[2] = hearth_integer(what);
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.generation = generation;
  return hearth_run(run->kernel, values, 3, &options, NULL);
}

static int64_t endless_task; /* 1: deaf, 2: it listens. */

static void* run_endlessly(void* context) {
  struct endless* run = context;
  run->status = run_as(run, endless_task, run->generation);
  return NULL;
}

static void measure_supersede(hearth_context* context, const char* name, int64_t task) {
  enum { kRounds = 100 };
  static double times[kRounds];
  const int64_t n = 128, one = 1;
  hearth_tensor *in = NULL, *out = NULL;
  hearth_source source;
  struct endless run;
  int i;
  memset(&source, 0, sizeof source);
  source.size = sizeof source;
  source.kind = HEARTH_BY_NAME;
  source.text = "touch_worker";
  memset(&run, 0, sizeof run);
  endless_task = task;
  check(hearth_kernel_open(context, &source, &run.kernel));
  check(hearth_alloc(context, HEARTH_F64, 1, &n, &in));
  check(hearth_alloc(context, HEARTH_F64, 1, &one, &out));
  memset(hearth_data(in), 0, 128 * sizeof(double));
  run.values[0] = hearth_of(out), run.values[1] = hearth_of(in);
  for (i = 0; i < kRounds; ++i) {
    volatile double* begun = hearth_data(out);
    pthread_t thread;
    double asked;
    *begun = 0;
    run.generation = (uint64_t)(2 * i + 1);
    pthread_create(&thread, NULL, run_endlessly, &run);
    while (*begun != 1) {
      const struct timespec pause = {0, 100000};
      nanosleep(&pause, NULL);
    }
    asked = now_us();
    check(run_as(&run, 5, run.generation + 1));
    times[i] = now_us() - asked;
    pthread_join(thread, NULL);
    if (run.status != HEARTH_SUPERSEDED) {
      fprintf(stderr, "hearth_bridge_rtt: an endless run was not superseded\n");
      exit(1);
    }
  }
  qsort(times, kRounds, sizeof times[0], by_size);
  printf("%s,0,%.2f,%.2f,%.2f,0\n", name, times[0], times[kRounds / 2], times[kRounds * 99 / 100]);
  hearth_free(in);
  hearth_free(out);
  hearth_kernel_close(run.kernel);
}

int main(int argc, char** argv) {
  hearth_context* context = NULL;
  hearth_options options;
  int64_t n_bytes_max;
  if (argc != 3) return 2;
  n_bytes_max = atoll(argv[2]);
  memset(&options, 0, sizeof options);
  options.size = sizeof options;
  options.socket = argv[1];
  check(hearth_open(&options, &context));
  measure(context, "touch_hub", n_bytes_max);
  measure(context, "touch_worker", n_bytes_max);
  measure_supersede(context, "supersede_listening", 2);
  measure_supersede(context, "supersede_deaf", 1);
  hearth_close(context);
  return 0;
}
