#include "compute/builtin/library/blas.h"

#include <vector>

#include "compute/builtin/library/shared_library.h"

namespace hearth::compute {
namespace {

const std::vector<std::string>& openblas_names() {
  static const std::vector<std::string> kNames = {"libopenblas.so.0", "libopenblas.so"};
  return kNames;
}

Result<OpenBlas> load_openblas() {
  HEARTH_TRY(const SharedLibrary library,
             SharedLibrary::open(openblas_names(), "comparing with OpenBLAS", "libopenblas0-pthread"));
  OpenBlas blas{};
  HEARTH_TRY_VOID(library.bind("cblas_sgemm", blas.sgemm));
  HEARTH_TRY_VOID(library.bind("cblas_dgemm", blas.dgemm));
  HEARTH_TRY_VOID(library.bind("openblas_set_num_threads", blas.set_num_threads));
  using CoreName = char*();
  if (auto* const core = library.find<CoreName>("openblas_get_corename")) blas.core = core();
  return blas;
}

Result<Lapack> load_lapack() {
  std::vector<std::string> names = openblas_names();
  names.insert(names.end(), {"liblapack.so.3", "liblapack.so"});
  HEARTH_TRY(const SharedLibrary library,
             SharedLibrary::open(names, "linear algebra", "libopenblas0-pthread or liblapack3"));
  Lapack found{};
  HEARTH_TRY_VOID(library.bind("dsyevd_", found.dsyevd));
  HEARTH_TRY_VOID(library.bind("dgetrf_", found.dgetrf));
  HEARTH_TRY_VOID(library.bind("dgetrs_", found.dgetrs));
  found.set_num_threads = library.find<void(int)>("openblas_set_num_threads");
  found.library = library.name();
  return found;
}

template <class T>
Result<const T*> address_of(const Result<T>& loaded) {
  if (!loaded) return std::unexpected(loaded.error());
  return &*loaded;
}

}  // namespace

Result<const OpenBlas*> open_blas() {
  static const Result<OpenBlas> kLoaded = load_openblas();
  return address_of(kLoaded);
}

Result<const Lapack*> lapack() {
  static const Result<Lapack> kLoaded = load_lapack();
  return address_of(kLoaded);
}

}  // namespace hearth::compute
