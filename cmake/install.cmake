# Installs the libraries and their public headers so that find_package(ps) works; tests/package proves it.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)
set(ps_config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ps)

set_target_properties(ps_link_dependencies PROPERTIES EXPORT_NAME link_dependencies)
install(TARGETS ps ps_link_dependencies EXPORT ps-targets FILE_SET HEADERS)
set(PS_NN_ENABLED OFF)
if(NOT TARGET ps_onnx)
  set(PS_ONNX_ENABLED OFF)
endif()
if(TARGET ps_nn)
  set(PS_NN_ENABLED ON)
  set_target_properties(ps_nn PROPERTIES EXPORT_NAME nn)
  install(TARGETS ps_nn EXPORT ps-targets FILE_SET HEADERS)
endif()
if(TARGET ps_vision)  # an export of its own: who uses only ps::ps needs no OpenCV
  set_target_properties(ps_vision PROPERTIES EXPORT_NAME vision)
  install(TARGETS ps_vision EXPORT ps-vision-targets FILE_SET HEADERS)
  install(EXPORT ps-vision-targets NAMESPACE ps:: DESTINATION ${ps_config_dir})
endif()
if(TARGET ps_onnx)  # an export of its own: who uses only the others needs no ONNX
  set_target_properties(ps_onnx PROPERTIES EXPORT_NAME onnx)
  install(TARGETS ps_onnx EXPORT ps-onnx-targets FILE_SET HEADERS)
  install(EXPORT ps-onnx-targets NAMESPACE ps:: DESTINATION ${ps_config_dir})
endif()
install(EXPORT ps-targets NAMESPACE ps:: DESTINATION ${ps_config_dir})

configure_package_config_file(cmake/ps-config.cmake.in ${PROJECT_BINARY_DIR}/ps-config.cmake
                              INSTALL_DESTINATION ${ps_config_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ps-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ps-config.cmake ${PROJECT_BINARY_DIR}/ps-config-version.cmake
        DESTINATION ${ps_config_dir})
