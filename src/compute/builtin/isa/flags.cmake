# One translation unit per instruction set; kernel_table.cpp chooses at run time.  Fusing products and
# sums is left to us, so that all of them round alike.
file(GLOB isa_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_LIST_DIR}/table_*.cpp)
set_source_files_properties(${isa_sources} PROPERTIES COMPILE_OPTIONS "-O3;-ffp-contract=off")
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(isa ${CMAKE_CURRENT_LIST_DIR}/table)
  set_property(SOURCE ${isa}_scalar.cpp APPEND PROPERTY COMPILE_OPTIONS "-O2")
  set_property(SOURCE ${isa}_avx2.cpp APPEND PROPERTY COMPILE_OPTIONS "-mavx2;-mfma")
  set_property(SOURCE ${isa}_avx512.cpp APPEND PROPERTY COMPILE_OPTIONS
    "-mavx2;-mfma;-mavx512f;-mavx512bw;-mavx512dq;-mavx512vl;-mprefer-vector-width=512")
else()
  get_target_property(sources hearth_compute SOURCES)
  list(FILTER sources EXCLUDE REGEX "builtin/isa/table_avx")
  set_target_properties(hearth_compute PROPERTIES SOURCES "${sources}")
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False positives of g++ 12 inside its own intrinsics headers.
  set_property(SOURCE ${isa_sources} APPEND PROPERTY COMPILE_OPTIONS
    "-Wno-maybe-uninitialized;-Wno-uninitialized")
endif()
set_source_files_properties(${isa_sources} PROPERTIES SKIP_PRECOMPILE_HEADERS ON)

if(HEARTH_TESTS AND NOT HEARTH_FUZZ)
  add_test(NAME compute_weak_symbols COMMAND
    sh ${CMAKE_CURRENT_LIST_DIR}/weak_symbols_test.sh $<TARGET_FILE:hearth_compute>)
endif()
