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

add_library(ps_dependencies INTERFACE)
target_link_libraries(ps_dependencies INTERFACE Threads::Threads cppzmq PkgConfig::libzmq Eigen3::Eigen
                      nlohmann_json::nlohmann_json spdlog::spdlog ZLIB::ZLIB CLI11::CLI11
                      PkgConfig::tomlplusplus PkgConfig::xxhash)
