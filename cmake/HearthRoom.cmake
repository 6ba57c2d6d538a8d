# hearth_room(NAME FLOOR n [FEWER_CHECKS] [DEPENDS room...] [LINK target...] [SOURCES file...])
#
# Declares the static library hearth_NAME from the room's own folder.  SOURCES
# defaults to every *.cpp that is not a test, a benchmark, a fuzz target or in a
# folder test_support, so a new file needs no line here.  Beside the library:
#   *_test.cpp   one GoogleTest program for the room, registered with CTest
#   *_bench.cpp  one Google Benchmark program for the room (HEARTH_BENCHES)
#   *_fuzz.cpp   one fuzz program per file (HEARTH_FUZZ), else a replay test
#                over fuzz/corpus/<name>/
# FEWER_CHECKS: the room moves values and reads no foreign bytes; see HEARTH_FEWER_CHECKS below.
# DEPENDS names rooms, and each must lie on a lower floor; LINK names anything else.

find_package(Threads REQUIRED)

add_library(hearth_options INTERFACE)
target_include_directories(hearth_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(hearth_options INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Werror
  # Padding of hot structs and missing initialisers in test tables are no bugs.
  -Wno-missing-field-initializers)
target_link_libraries(hearth_options INTERFACE Threads::Threads)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # False positives of g++ 12 in -O2 inlining of std::string and std::vector.
  target_compile_options(hearth_options INTERFACE -Wno-stringop-overflow -Wno-restrict -Wno-array-bounds)
  # Collecting its garbage from 1 GB on and not from 128 MB: an eighth less time for a fifth more memory.
  target_compile_options(hearth_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:--param=ggc-min-heapsize=1000000>)
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # libstdc++ 12's own stable_sort calls what it has deprecated.
  target_compile_options(hearth_options INTERFACE -Wno-deprecated-declarations)
endif()
if(HEARTH_SANITIZE)
  # Checks of every pointer for null double the code, and a null that is used ends the program anyway.
  # Targets with the property HEARTH_FEWER_CHECKS are spared those for undefined behaviour: a quarter of
  # the compiler's time.
  target_compile_options(hearth_options INTERFACE
    -fsanitize=${HEARTH_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all
    -fno-sanitize=null,vptr,object-size -Wno-error  # Their code confuses g++ 12; the release build is held to it.
    $<$<BOOL:$<TARGET_PROPERTY:HEARTH_FEWER_CHECKS>>:-fno-sanitize=undefined>)
  target_link_options(hearth_options INTERFACE -fsanitize=${HEARTH_SANITIZE})
endif()

if(HEARTH_FUZZ)
  target_compile_options(hearth_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

function(hearth_room name)
  cmake_parse_arguments(ROOM "FEWER_CHECKS" "FLOOR" "DEPENDS;LINK;SOURCES" ${ARGN})
  if(NOT ROOM_SOURCES)
    file(GLOB_RECURSE ROOM_SOURCES CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
    list(FILTER ROOM_SOURCES EXCLUDE REGEX "_(test|bench|fuzz)\\.cpp$|/test_support/")
  endif()

  add_library(hearth_${name} STATIC ${ROOM_SOURCES})
  hearth_precompile(hearth_${name} ${CMAKE_SOURCE_DIR}/cmake/precompiled.h)
  if(ROOM_FEWER_CHECKS)
    set_target_properties(hearth_${name} PROPERTIES HEARTH_FEWER_CHECKS ON)
  endif()
  set_property(GLOBAL PROPERTY HEARTH_FLOOR_${name} ${ROOM_FLOOR})
  target_link_libraries(hearth_${name} PUBLIC hearth_options ${ROOM_LINK})
  foreach(below IN LISTS ROOM_DEPENDS)
    get_property(below_floor GLOBAL PROPERTY HEARTH_FLOOR_${below})
    if(NOT below_floor LESS ROOM_FLOOR)
      message(FATAL_ERROR "room '${name}' (floor ${ROOM_FLOOR}) may not use '${below}' (floor ${below_floor})")
    endif()
    target_link_libraries(hearth_${name} PUBLIC hearth_${below})
  endforeach()

  hearth_room_tests(${name})
  hearth_room_benches(${name})
  hearth_room_fuzzers(${name})
endfunction()

function(hearth_room_tests name)
  file(GLOB_RECURSE tests CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  if(NOT HEARTH_TESTS OR NOT tests)
    return()
  endif()
  find_package(GTest REQUIRED)
  add_executable(${name}_test ${tests})
  target_link_libraries(${name}_test PRIVATE hearth_${name} GTest::gmock GTest::gtest_main)
  target_compile_definitions(${name}_test PRIVATE
    HEARTH_SOURCE_DIR="${CMAKE_SOURCE_DIR}" HEARTH_SHARED_DIR="${CMAKE_SOURCE_DIR}/../shared")
  hearth_compile_quickly(${name}_test)
  hearth_precompile(${name}_test ${CMAKE_SOURCE_DIR}/cmake/precompiled_test.h)
  add_test(NAME ${name}_test COMMAND ${name}_test)
  set_tests_properties(${name}_test PROPERTIES TIMEOUT 600)
endfunction()

# For code that is compiled often and runs briefly: a test's own, and not what it tests.  Optimised and
# checked like the rest it would take half of a build.
function(hearth_compile_quickly target)
  # Less optimised, the compiler sees less of what is initialised.
  target_compile_options(${target} PRIVATE -Og -Wno-maybe-uninitialized)
  set_target_properties(${target} PROPERTIES HEARTH_FEWER_CHECKS ON)
endfunction()

# Reads the standard library's headers once per target instead of once per file.  Not those of the release
# build's rooms, where each file has to name what it uses, and g++ 12 sees overflows that are none.
function(hearth_precompile target header)
  if(HEARTH_PRECOMPILE STREQUAL "TESTS" AND NOT target MATCHES "_test$")
    return()
  endif()
  if(HEARTH_PRECOMPILE)
    target_precompile_headers(${target} PRIVATE ${header})
  endif()
endfunction()

function(hearth_room_benches name)
  file(GLOB_RECURSE benches CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_bench.cpp)
  if(NOT HEARTH_BENCHES OR NOT benches)
    return()
  endif()
  find_package(benchmark REQUIRED)
  add_executable(${name}_bench ${benches})
  target_link_libraries(${name}_bench PRIVATE hearth_${name} benchmark::benchmark_main)
  target_compile_definitions(${name}_bench PRIVATE
    HEARTH_SOURCE_DIR="${CMAKE_SOURCE_DIR}" HEARTH_SHARED_DIR="${CMAKE_SOURCE_DIR}/../shared")
endfunction()

function(hearth_room_fuzzers name)
  file(GLOB_RECURSE fuzzers CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_fuzz.cpp)
  if(NOT HEARTH_TESTS AND NOT HEARTH_FUZZ)
    return()
  endif()
  foreach(source IN LISTS fuzzers)
    get_filename_component(fuzzer ${source} NAME_WE)
    string(REPLACE "_fuzz" "" topic ${fuzzer})
    add_executable(${fuzzer} ${source})
    target_link_libraries(${fuzzer} PRIVATE hearth_${name})
    if(HEARTH_FUZZ)
      target_compile_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
      target_link_options(${fuzzer} PRIVATE -fsanitize=fuzzer)
    else()
      hearth_compile_quickly(${fuzzer})
      target_sources(${fuzzer} PRIVATE ${CMAKE_SOURCE_DIR}/fuzz/replay_main.cpp)
      add_test(NAME ${fuzzer}_replay COMMAND ${fuzzer} ${CMAKE_SOURCE_DIR}/fuzz/corpus/${topic})
      set_tests_properties(${fuzzer}_replay PROPERTIES TIMEOUT 300)
    endif()
  endforeach()
endfunction()
