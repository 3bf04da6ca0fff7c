# Decides whether this build has CUDA and says so in PS_CUDA_ENABLED, which src/kernels asks to choose between its
# .cu sources and its CPU-only ones. A build with CUDA needs no GPU, and its programs run without a driver.
# PS_CUDA_EMULATED says that there is no CUDA at all: the .cu sources are C++ over tests/support/cuda_host, so that
# tests can run every kernel anywhere.
set(PS_CUDA_ENABLED OFF)
set(PS_CUDA_EMULATED OFF)
if(NOT PS_CUDA MATCHES "^(AUTO|ON|OFF|EMULATED)$")
  message(FATAL_ERROR "PS_CUDA is \"${PS_CUDA}\"; expected AUTO, ON, OFF or EMULATED")
endif()
if(PS_CUDA STREQUAL "EMULATED")
  message(STATUS "CUDA: EMULATED on the CPU. This build is for tests only: it uses no GPU and is not to be shipped")
  set(PS_CUDA_ENABLED ON)
  set(PS_CUDA_EMULATED ON)
  include(${PROJECT_SOURCE_DIR}/tests/support/cuda_host/emulator.cmake)
  return()
endif()
if(PS_CUDA STREQUAL "OFF")
  return()
endif()

find_program(PS_NVCC nvcc HINTS ENV CUDA_PATH PATHS /usr/local/cuda/bin)
mark_as_advanced(PS_NVCC)
if(PS_NVCC AND NOT CMAKE_CUDA_COMPILER)
  set(CMAKE_CUDA_COMPILER ${PS_NVCC})
endif()
if(NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  if(PS_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PS_CUDA=ON, but there is no nvcc: install the CUDA toolkit, set CUDACXX, or use PS_CUDA=OFF")
  endif()
  message(STATUS "CUDA: no compiler found, building for the CPU only")
  return()
endif()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 75 80 90)
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake 3.25 does not know that nvcc 12 and later accept it
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(PS_CUDA_ENABLED ON)

# As ps_configure does for C++: warnings, and no contraction of multiplications and additions.
function(ps_configure_cuda target)
  set(host -Wall,-Wextra,-Wconversion,-Wshadow,-ffp-contract=off,-fno-omit-frame-pointer)
  target_compile_options(
    ${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-fmad=false;-Xcompiler=${host}>
                      $<$<AND:$<BOOL:${PS_WERROR}>,$<COMPILE_LANGUAGE:CUDA>>:-Werror=all-warnings;-Xcompiler=-Werror>)
  target_compile_definitions(${target} PRIVATE PS_HAVE_CUDA)
  target_link_libraries(${target} PRIVATE CUDA::cudart_static CUDA::cublas)
endfunction()

# What ps's .cu sources in the calling folder need besides: nothing, where nvcc compiles them (emulator.cmake has more).
function(ps_configure_cuda_sources)
endfunction()
