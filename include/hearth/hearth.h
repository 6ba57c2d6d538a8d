/* hearth.h: run kernels of a hearth on tensors that are never copied and never become text.
 *
 * A hub (`hearth serve`) keeps verified kernels, writes new ones, and talks to models.  This library
 * connects to it by a Unix socket.  Tensors lie in memory that the program, the hub and the process
 * that runs a kernel all have mapped; a run is one word written and one word awaited in a shared
 * page.  Link with -lhearth.  C99 and C++ alike.
 *
 *     hearth_context* context;
 *     hearth_open(NULL, &context);
 *
 *     int64_t shape[1] = {1000};
 *     hearth_tensor *x, *w, *y;
 *     hearth_alloc(context, HEARTH_F32, 1, shape, &x);              likewise w and y
 *     ((float*)hearth_data(x))[0] = 1.0f;                           fill them where they lie
 *
 *     hearth_source source = {sizeof source, HEARTH_BY_NAME, "mul_f32", 0};
 *     hearth_kernel* kernel;
 *     hearth_kernel_open(context, &source, &kernel);
 *
 *     hearth_value values[3] = {hearth_of(y), hearth_of(x), hearth_of(w)};
 *     hearth_report report = {sizeof report};
 *     if (hearth_run(kernel, values, 3, NULL, &report) != HEARTH_OK) puts(hearth_error());
 *
 * STATUS.  Every function that can fail returns a hearth_status; hearth_error() is the sentence that
 * goes with this thread's last failure.  Nothing prints, exits or throws.
 *
 * SIZES.  A struct that is passed by pointer begins with `size`, which its owner sets to sizeof of the
 * struct as compiled.  Later versions add fields at the end and nothing else.  A null pointer for an
 * options struct means the defaults; so does a field that is 0.
 *
 * THREADS.  All functions may be called from any thread.  Runs of one context wait for one another
 * (twice: those inside the hub, and those in this client's worker); contexts don't.  An object may not
 * be closed while another thread uses it, except that hearth_run on the same kernel may be superseded.
 *
 * OWNERSHIP.  What a function hands out by pointer is closed by the caller, in any order: a context's
 * memory lives until its last tensor and view are gone, even when the hub is not there any more.
 *
 * CRASHES.  A kernel that faults costs a HEARTH_FAULT and a new worker.  A hub that ends costs one
 * HEARTH_HUB_GONE for each call; tensors stay readable; open a new context.  A client that ends costs
 * the hub nothing: all that it had is returned.
 */
#ifndef HEARTH_HEARTH_H
#define HEARTH_HEARTH_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define HEARTH_API __attribute__((visibility("default")))
#else
#define HEARTH_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_VERSION 1        /* Of this header; hearth_version() is the library's. */
#define HEARTH_RANK_MAX 8       /* Dimensions of a tensor. */
#define HEARTH_VALUES_MAX 16    /* Arguments of a kernel. */
#define HEARTH_TEXT_MAX 1048576 /* Bytes of a contract, a wish in prose, or a question. */

typedef struct hearth_context hearth_context; /* A connection to a hub. */
typedef struct hearth_tensor hearth_tensor;   /* Memory that the hub's kernels can work on, and its shape. */
typedef struct hearth_kernel hearth_kernel;   /* Something to run. */
typedef struct hearth_answer hearth_answer;   /* A model's answer, as it comes. */

typedef enum hearth_status {
  HEARTH_OK = 0,
  HEARTH_INVALID = 1,     /* The arguments are wrong; the same call will fail again. */
  HEARTH_NOT_FOUND = 2,   /* No such kernel, model or hub. */
  HEARTH_DENIED = 3,      /* The operating system or a policy says no. */
  HEARTH_UNSUPPORTED = 4, /* Well formed, but nothing that this hub can do. */
  HEARTH_UNAVAILABLE = 5, /* Try again later. */
  HEARTH_OVER_BUDGET = 6, /* Memory or money promised to others already. */
  HEARTH_CANCELLED = 7,   /* By hearth_cancel. */
  HEARTH_CORRUPT = 8,     /* What came over the socket breaks its format. */
  HEARTH_INTERNAL = 9,    /* Worth a bug report. */
  HEARTH_SUPERSEDED = 10, /* A run with a higher generation took this one's place: its outputs hold no result. */
  HEARTH_FAULT = 11,      /* The kernel faulted, or its worker was killed: the outputs hold no result. */
  HEARTH_DEADLINE = 12,   /* The run took longer than it may. */
  HEARTH_HUB_GONE = 13    /* The hub ended: open a new context. */
} hearth_status;

HEARTH_API uint32_t hearth_version(void);
/* One sentence about this thread's last failure; "" if there was none.  Valid until its next failure. */
HEARTH_API const char* hearth_error(void);

/* ---- Context ---- */

typedef struct hearth_options {
  uint32_t size;
  const char* socket; /* Path.  Default: $HEARTH_BRIDGE, else hearth/bridge.sock in $XDG_RUNTIME_DIR, else in
                         $XDG_DATA_HOME (~/.local/share). */
  const char* client; /* A name for logs and receipts; default: the program's. */
} hearth_options;

/* Connects.  HEARTH_NOT_FOUND if no hub listens there, HEARTH_DENIED if it is another user's. */
HEARTH_API hearth_status hearth_open(const hearth_options* options, hearth_context** context);
/* Hangs up: worker, kernels and memory go back to the hub.  Null is fine. */
HEARTH_API void hearth_close(hearth_context* context);

/* The machine's roofs, measured by the hub when first asked for (about 1 s): no figure may exceed them. */
typedef struct hearth_roofs {
  uint32_t size;
  uint32_t n_threads;
  double gflops_f32, gflops_f64; /* 10^9 operations a second, fused, all threads. */
  double gbps_read, gbps_stream; /* 10^9 bytes a second: read; read and written past the caches. */
} hearth_roofs;
HEARTH_API hearth_status hearth_measure_roofs(hearth_context* context, hearth_roofs* roofs);

/* ---- Tensors ---- */

typedef enum hearth_type {
  HEARTH_F32 = 1,
  HEARTH_F64 = 2,
  HEARTH_I8 = 3,
  HEARTH_I16 = 4,
  HEARTH_I32 = 5,
  HEARTH_I64 = 6,
  HEARTH_U8 = 7,
  HEARTH_U16 = 8,
  HEARTH_U32 = 9,
  HEARTH_U64 = 10
} hearth_type;

typedef struct hearth_layout {
  uint32_t size;
  uint32_t type; /* hearth_type */
  uint32_t rank; /* 0 to HEARTH_RANK_MAX */
  uint32_t is_read_only;
  int64_t shape[HEARTH_RANK_MAX];
  int64_t strides[HEARTH_RANK_MAX]; /* In elements.  Row-major: the last is 1; column-major: the first. */
  void* data;
  int32_t descriptor;         /* Of the memory (a memfd), borrowed; -1 where the library knows none. */
  uint64_t descriptor_offset; /* Of `data` in it, in bytes. */
} hearth_layout;

/* Row-major memory of the hub's pool: on page boundaries, in place already (no page faults later), zero
 * when it is new, what its last owner in this context left when it is recycled.
 * HEARTH_OVER_BUDGET beyond the pool's limit ([compute] memory_mib). */
HEARTH_API hearth_status hearth_alloc(hearth_context* context, uint32_t type, uint32_t rank, const int64_t* shape,
                                      hearth_tensor** tensor);
/* The same with strides of the caller's choice (column-major, padded), which must not overlap. */
HEARTH_API hearth_status hearth_alloc_strided(hearth_context* context, uint32_t type, uint32_t rank,
                                              const int64_t* shape, const int64_t* strides, hearth_tensor** tensor);
/* A tensor over memory that is described by `layout` (size, type, rank, shape, strides, data).  Memory that
 * already lies in the context's pool (a slice of a tensor, say) is used in place and *copied is 0, else
 * one dense copy is made and *copied is 1; the next report counts it.  `copied` may be null. */
HEARTH_API hearth_status hearth_wrap(hearth_context* context, const hearth_layout* layout, hearth_tensor** tensor,
                                     int* copied);
/* The same from DLPack 1.x.  The managed tensor's deleter is called when the memory is not needed any more:
 * after the copy, or with the tensor; on failure it is not called.  CPU memory only. */
struct DLManagedTensorVersioned; /* <dlpack/dlpack.h> */
HEARTH_API hearth_status hearth_wrap_dlpack(hearth_context* context, struct DLManagedTensorVersioned* managed,
                                            hearth_tensor** tensor, int* copied);
/* The tensor as DLPack, without a copy; it keeps the memory until its deleter is called. */
HEARTH_API hearth_status hearth_view_dlpack(hearth_tensor* tensor, struct DLManagedTensorVersioned** managed);
/* Another tensor over the same memory: a slice, a transpose, another shape.  `layout` as for hearth_wrap; all
 * that it reaches must lie in the memory of `tensor`. */
HEARTH_API hearth_status hearth_slice(hearth_tensor* tensor, const hearth_layout* layout, hearth_tensor** slice);
HEARTH_API hearth_status hearth_describe(const hearth_tensor* tensor, hearth_layout* layout);
HEARTH_API void* hearth_data(const hearth_tensor* tensor);
/* Gives the memory back; the context keeps some of it, mapped, for tensors to come.  Null is fine. */
HEARTH_API void hearth_free(hearth_tensor* tensor);

/* ---- Kernels ---- */

typedef enum hearth_source_kind {
  HEARTH_BY_NAME = 1,     /* A built-in kernel ("gemm_f32", or on a device "gemm_f32@opencl") or one of the shelf. */
  HEARTH_BY_CONTRACT = 2, /* A contract in TOML with the kernel's source: compiled and verified, or found. */
  HEARTH_BY_PROSE = 3     /* A wish: found by its words, else an adviser is asked through the hub's policy. */
} hearth_source_kind;

typedef struct hearth_source {
  uint32_t size;
  uint32_t kind; /* hearth_source_kind */
  const char* text;
  size_t n_bytes; /* Of `text`; 0: it ends with a zero. */
} hearth_source;

/* What happened, in seconds, operations and bytes.  What is not known is 0. */
typedef struct hearth_report {
  uint32_t size;
  uint32_t is_verified; /* Checked against its oracle on this machine; built-ins are, by the hub's own tests. */
  uint32_t is_cached;   /* Found, not built. */
  uint32_t is_jailed;   /* Ran in a worker process of its own, not in the hub. */
  uint32_t n_copies;    /* Made of the caller's tensors for this run, by hearth_wrap and by devices. */
  uint32_t n_checks;    /* Of hearth_check: runs that were compared. */
  double t_compile;     /* Of the build that made the kernel, in seconds. */
  double t_kernel;      /* From handing the run over until its end was seen. */
  double t_total;       /* The whole call. */
  double flops, bytes;  /* As the contract counts them for these shapes. */
  double gflops, gbps;  /* flops and bytes over t_kernel, in 10^9. */
  double roof_gflops, roof_gbps; /* Of this machine, once hearth_measure_roofs has been called. */
  double error_ulps;    /* Of hearth_check: the largest error. */
  uint64_t out_hash;    /* XXH3 of what was written, if asked for. */
  uint64_t generation;
  char device[64];      /* The device that computed, as its driver names it; "": the processor.  Ends with a zero. */
} hearth_report;

/* Opens a kernel.  Building one may take seconds, asking for one minutes; other calls go on meanwhile.
 * HEARTH_INVALID has the compiler's or the check's findings in hearth_error().
 *
 * NAME@DEVICE is a built-in kernel on a device: "opencl", "cuda", or "cublas" (products with its speed and bits of
 * its own).  The hub's one process for that device is started now, if it is not there: seconds.  Its runs go one
 * after another, for all clients; tensors are contiguous.  A device that is the processor (PoCL) works on them where
 * they lie, others copy, and n_copies says so.  HEARTH_UNAVAILABLE: no such device here, HEARTH_UNSUPPORTED: no
 * kernel for devices, HEARTH_OVER_BUDGET from a run: its memory does not suffice; hearth_error() has the way out. */
HEARTH_API hearth_status hearth_kernel_open(hearth_context* context, const hearth_source* source,
                                            hearth_kernel** kernel);
HEARTH_API void hearth_kernel_close(hearth_kernel* kernel); /* Null is fine. */
HEARTH_API const char* hearth_kernel_name(const hearth_kernel* kernel);
/* "out f32[n], in f32[n], w f32[n]": what hearth_run takes, in this order. */
HEARTH_API const char* hearth_kernel_signature(const hearth_kernel* kernel);
/* JSON: source hash, compiler, flags, seeds, errors, signature; "" for built-ins. */
HEARTH_API const char* hearth_kernel_receipt(const hearth_kernel* kernel);
/* Lines "NAME SIGNATURE" of what HEARTH_BY_NAME finds, at most `capacity` bytes with a final zero; *n_needed
 * bytes hold all of them.  `buffer` may be null when `capacity` is 0. */
HEARTH_API hearth_status hearth_list_kernels(hearth_context* context, char* buffer, size_t capacity,
                                             size_t* n_needed);

typedef enum hearth_value_kind {
  HEARTH_MISSING = 0, /* For hearth_complete to find. */
  HEARTH_TENSOR = 1,
  HEARTH_INTEGER = 2,
  HEARTH_REAL = 3
} hearth_value_kind;

typedef struct hearth_value {
  uint32_t kind; /* hearth_value_kind */
  uint32_t reserved;
  union {
    hearth_tensor* tensor;
    int64_t integer;
    double real;
  } as;
} hearth_value;

/* Fills in what is missing as far as the other values say it: integers that are a tensor's extent, and
 * row-major tensors of the right shape, which are allocated and the caller's to free.  On failure nothing
 * was allocated. */
HEARTH_API hearth_status hearth_complete(hearth_kernel* kernel, hearth_value* values, uint32_t n_values);

typedef enum hearth_run_flags { HEARTH_HASH_OUTPUTS = 1 } hearth_run_flags;

typedef struct hearth_run_options {
  uint32_t size;
  uint32_t flags;
  /* Runs of one kernel with a generation above 0 supersede: a higher one makes those below it end with
   * HEARTH_SUPERSEDED, one that runs within 5 ms if it is jailed or asks whether to go on.  So a slider that
   * counts up is never more than one run behind. */
  uint64_t generation;
  double deadline_s; /* 0: the hub's own limit ([compute] run_seconds_max), which holds in any case. */
} hearth_run_options;

/* Runs the kernel.  Values are checked when they differ from those of one of its last runs; a run whose
 * tensors and numbers the kernel has met is a message in shared memory and nothing else.  Outputs may not
 * overlap other arguments.  `options` and `report` may be null. */
HEARTH_API hearth_status hearth_run(hearth_kernel* kernel, const hearth_value* values, uint32_t n_values,
                                    const hearth_run_options* options, hearth_report* report);
/* Ends the kernel's runs with a generation up to this one, as a newer run would, but with HEARTH_CANCELLED. */
HEARTH_API hearth_status hearth_cancel(hearth_kernel* kernel, uint64_t generation);
/* Verifies the kernel once more, with inputs from `seed`. */
HEARTH_API hearth_status hearth_check(hearth_kernel* kernel, uint64_t seed, hearth_report* report);

/* ---- Chat ---- */

typedef struct hearth_question {
  uint32_t size;
  uint32_t max_tokens;
  const char* model;  /* Default: "auto". */
  const char* system; /* Default: none. */
  const char* prompt;
} hearth_question;

HEARTH_API hearth_status hearth_ask(hearth_context* context, const hearth_question* question,
                                    hearth_answer** answer);
/* Waits for the next piece and writes at most `capacity` bytes of it; *n_bytes 0: the answer has ended.
 * Pieces are UTF-8 but may end within a character where `capacity` cuts them. */
HEARTH_API hearth_status hearth_read(hearth_answer* answer, char* buffer, size_t capacity, size_t* n_bytes);
/* The receipt's id, once the answer has ended; "" before. */
HEARTH_API const char* hearth_answer_receipt(const hearth_answer* answer);
/* Stops the answer if it has not ended.  Null is fine. */
HEARTH_API void hearth_answer_close(hearth_answer* answer);

/* ---- Conveniences ---- */

static inline hearth_value hearth_of(hearth_tensor* tensor) {
  hearth_value value;
  value.kind = HEARTH_TENSOR;
  value.reserved = 0;
  value.as.tensor = tensor;
  return value;
}
static inline hearth_value hearth_integer(int64_t number) {
  hearth_value value;
  value.kind = HEARTH_INTEGER;
  value.reserved = 0;
  value.as.integer = number;
  return value;
}
static inline hearth_value hearth_real(double number) {
  hearth_value value;
  value.kind = HEARTH_REAL;
  value.reserved = 0;
  value.as.real = number;
  return value;
}

#ifdef __cplusplus
}
#endif

#endif /* HEARTH_HEARTH_H */
