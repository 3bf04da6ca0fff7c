# The CUDA of a build with PS_CUDA=EMULATED: compiled into ps, whose .cu sources then are C++.
set(cuda_host_folder ${CMAKE_CURRENT_LIST_DIR})
set(cuda_host_sources
  ${cuda_host_folder}/api.cpp
  ${cuda_host_folder}/capture.cpp
  ${cuda_host_folder}/cublas.cpp
  ${cuda_host_folder}/emulator.cpp
  ${cuda_host_folder}/fiber.cpp
  ${cuda_host_folder}/graph.cpp
  ${cuda_host_folder}/grid.cpp
  ${cuda_host_folder}/launch_list.cpp
  ${cuda_host_folder}/shared_memory.cpp
  ${cuda_host_folder}/streams.cpp
)
function(ps_configure_cuda target)
  target_sources(${target} PRIVATE ${cuda_host_sources})
  # Optimised in Debug too: a grid has many threads.
  set_source_files_properties(${cuda_host_sources} TARGET_DIRECTORY ${target} PROPERTIES COMPILE_OPTIONS -O2)
  if(PS_SANITIZE)  # Eigen's kernel under UndefinedBehaviorSanitizer takes minutes to compile
    set_property(SOURCE ${cuda_host_folder}/cublas.cpp TARGET_DIRECTORY ${target}
                 APPEND PROPERTY COMPILE_OPTIONS -fno-sanitize=undefined)
  endif()
  target_include_directories(${target} PRIVATE ${cuda_host_folder})
  target_compile_definitions(${target} PRIVATE PS_HAVE_CUDA PS_CUDA_EMULATED)
endfunction()

# ps's .cu sources in the calling folder are C++. The assembler need not say that noinit's sections hold what gcc puts
# there.
function(ps_configure_cuda_sources)
  if(NOT ARGN)
    return()
  endif()
  set_source_files_properties(
    ${ARGN} TARGET_DIRECTORY ps
    PROPERTIES
      LANGUAGE CXX
      # nvcc is not asked for -Wsign-conversion either: kernels count with CUDA's unsigned indices.
      COMPILE_OPTIONS "-xc++;-O2;-fno-trapping-math;-Wno-unknown-pragmas;-Wno-sign-conversion;-Wa,--no-warn")
endfunction()
