# What every target of ps is compiled with.
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

# Warnings, sanitizers and the floating-point rule: no contraction, so that an update has the same bits on
# every instruction set.
function(ps_configure target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -ffp-contract=off
                                           -fno-omit-frame-pointer $<$<BOOL:${PS_WERROR}>:-Werror>)
  target_compile_definitions(${target} PRIVATE $<$<BOOL:${PS_PLANTED_BUGS}>:PS_PLANTED_BUGS>)
  if(CMAKE_CXX_COMPILER_ID STREQUAL Clang)
    target_compile_options(${target} PRIVATE -Wthread-safety)
  endif()
  if(PS_SANITIZE)
    target_compile_options(${target} PUBLIC -fsanitize=${PS_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(${target} PUBLIC -fsanitize=${PS_SANITIZE})
  endif()
endfunction()
