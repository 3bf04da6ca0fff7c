# Everything outside, found once; only ps's own sources see it (PRIVATE), so no user of ps needs it to compile.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(cppzmq REQUIRED)
find_package(Eigen3 3.4 REQUIRED NO_MODULE)
find_package(nlohmann_json REQUIRED)
find_package(spdlog REQUIRED)
find_package(ZLIB REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(tomlplusplus REQUIRED IMPORTED_TARGET tomlplusplus)
pkg_check_modules(libzmq REQUIRED IMPORTED_TARGET libzmq>=4.3.4)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

# The all-reduce that ps is compared with; consistency.mode = allreduce says so where it is missing.
set(PS_GLOO_ENABLED OFF)
if(NOT PS_GLOO STREQUAL "OFF")
  find_package(Gloo QUIET CONFIG)
  if(TARGET gloo)
    set(PS_GLOO_ENABLED ON)
  elseif(PS_GLOO STREQUAL "ON")
    message(FATAL_ERROR "PS_GLOO is ON, but there is no Gloo: install libgloo-dev")
  endif()
endif()

# What a program linked with the static library must link too; cmake/ps-config.cmake.in finds the same.
add_library(ps_link_dependencies INTERFACE)
target_link_libraries(ps_link_dependencies INTERFACE Threads::Threads PkgConfig::libzmq PkgConfig::tomlplusplus
                                                     PkgConfig::xxhash spdlog::spdlog ZLIB::ZLIB
                                                     $<$<BOOL:${PS_GLOO_ENABLED}>:gloo>)

add_library(ps_dependencies INTERFACE)
target_link_libraries(ps_dependencies INTERFACE ps_link_dependencies cppzmq Eigen3::Eigen CLI11::CLI11
                                                nlohmann_json::nlohmann_json)

# Only src/vision uses these. Without one of them ps::vision, and what needs it, is not built.
set(PS_VISION_ENABLED OFF)
if("vision" IN_LIST PS_FOLDERS)
  find_package(OpenCV 4.5 QUIET COMPONENTS core imgproc imgcodecs videoio)
  find_package(yaml-cpp QUIET)
  find_package(pugixml QUIET)
  if(OpenCV_FOUND AND TARGET opencv_videoio AND TARGET yaml-cpp AND TARGET pugixml::pugixml)
    set(PS_VISION_ENABLED ON)
  else()
    message(STATUS "ps::vision and the detector are not built: they need libopencv-dev, libyaml-cpp-dev, libpugixml-dev")
  endif()
endif()
