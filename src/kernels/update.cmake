# The server's update and what goes with it.
list(APPEND isa_sources
  finite_cpu.cpp
  reduce_cpu.cpp
  update_cpu.cpp
)
target_sources(ps PRIVATE ${CMAKE_CURRENT_LIST_DIR}/update_dispatch.cpp)
