# The server's update and what goes with it, and the codecs of what is sent to it.
list(APPEND isa_sources
  codec_cpu.cpp
  codec_top_cpu.cpp
  compensate_cpu.cpp
  finite_cpu.cpp
  norm_cpu.cpp
  reduce_cpu.cpp
  update_cpu.cpp
)
set(update_cuda_sources
  codec_cuda.cu
  codec_top_cuda.cu
  reduce_cuda.cu
  update_cuda.cu
)
target_sources(ps PRIVATE codec.cpp update_dispatch.cpp)
if(PS_CUDA_ENABLED)
  target_sources(ps PRIVATE ${update_cuda_sources})
  ps_configure_cuda_sources(${update_cuda_sources})
else()
  target_sources(ps PRIVATE codec_none.cpp update_none.cpp)
endif()
