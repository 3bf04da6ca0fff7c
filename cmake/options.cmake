# What every target of ps is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# ccache, where it is installed: told to forgive what differs between two clones of one revision (paths, and the
# time stamps inside a precompiled header), so that the second clone's build is mostly hits.
find_program(PS_CCACHE ccache)
mark_as_advanced(PS_CCACHE)
if(PROJECT_IS_TOP_LEVEL AND PS_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER
      env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros
      ${PS_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${PS_CCACHE})
endif()

# Warnings, sanitizers and the floating-point rule: no contraction, so that an update has the same bits on
# every instruction set.
function(ps_configure target)
  set(warnings -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow)
  target_compile_options(
    ${target} PRIVATE $<$<COMPILE_LANGUAGE:CXX>:${warnings};-ffp-contract=off;-fno-omit-frame-pointer>
                      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fpch-preprocess>  # without it ccache skips what uses one
                      # gcc 12 sees overlaps and overflows in std::string's own code (its bugs 105329 and 105651).
                      $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-restrict;-Wno-stringop-overflow>
                      $<$<COMPILE_LANG_AND_ID:CXX,Clang>:-Wthread-safety>
                      $<$<AND:$<BOOL:${PS_WERROR}>,$<COMPILE_LANGUAGE:CXX>>:-Werror>)
  target_compile_definitions(${target} PRIVATE $<$<BOOL:${PS_PLANTED_BUGS}>:PS_PLANTED_BUGS>)
  if(PS_SANITIZE)
    # The sanitizers' own branches make gcc 12 see uninitialised reads in libstdc++; the other presets look for real ones.
    target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
    target_compile_options(${target} PUBLIC -fsanitize=${PS_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${PS_SANITIZE})
  endif()
endfunction()
