# Detectors, from tables in YAML. No header shows yaml-cpp.
find_package(yaml-cpp REQUIRED)
target_sources(
  ps_nn
  PRIVATE blocks.cpp
          detector.cpp
          detector_table.cpp
          detector_tables.cpp
          detector_walk.cpp
          detector_yaml.cpp
          row_arguments.cpp
  PUBLIC FILE_SET HEADERS FILES ${PROJECT_SOURCE_DIR}/include/ps/nn/detector.h)
target_link_libraries(ps_nn PRIVATE yaml-cpp)
