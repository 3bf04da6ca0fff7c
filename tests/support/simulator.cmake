# The simulator, for a test program that wants it.
function(ps_add_simulator target)
  target_sources(${target} PRIVATE
    ${PROJECT_SOURCE_DIR}/tests/support/sim_user.cpp
    ${PROJECT_SOURCE_DIR}/tests/support/simulator.cpp
    ${PROJECT_SOURCE_DIR}/tests/support/tap_transport.cpp
  )
endfunction()
