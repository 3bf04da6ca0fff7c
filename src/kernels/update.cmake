# The server's update and what goes with it.
list(APPEND isa_sources
  compensate_cpu.cpp
  finite_cpu.cpp
  norm_cpu.cpp
  reduce_cpu.cpp
  update_cpu.cpp
)
target_sources(ps PRIVATE ${CMAKE_CURRENT_LIST_DIR}/update_dispatch.cpp)
