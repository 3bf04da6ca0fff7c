# Installs the build in BUILD under WORK, then builds and runs the project in SOURCE against it: its own program, and
# the one that README shows. Stops at the first failure, whose output ctest then shows.
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  message("${output}")
  set(output "${output}" PARENT_SCOPE)
  if(NOT result EQUAL 0)
    list(JOIN ARGV " " command)
    message(FATAL_ERROR "failed with ${result}: ${command}")
  endif()
endfunction()

# A fresh prefix and a fresh cache: what an earlier version left must not make this one pass.
file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/prefix)

file(READ ${README} text)
string(FIND "${text}" "```cpp\n" begin)
math(EXPR begin "${begin} + 7")
string(SUBSTRING "${text}" ${begin} -1 text)
string(FIND "${text}" "```\n" length)
string(SUBSTRING "${text}" 0 ${length} text)
file(WRITE ${WORK}/readme.cpp "${text}")

run(${CMAKE_COMMAND} -S ${SOURCE} -B ${WORK}/build -G ${GENERATOR} -D CMAKE_PREFIX_PATH=${WORK}/prefix
    -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_BUILD_TYPE=${BUILD_TYPE} -D README_PROGRAM=${WORK}/readme.cpp)
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${WORK}/build/consumer)
run(${WORK}/build/readme)
if(NOT output MATCHES "y = 2.00 x \\+ 1.00\n")
  message(FATAL_ERROR "the program in README printed \"${output}\"")
endif()
