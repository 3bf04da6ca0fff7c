# What another program makes of ps's ONNX files.
find_package(OpenCV 4.5 QUIET COMPONENTS core dnn)
if(OpenCV_FOUND AND TARGET opencv_dnn AND TARGET ps_onnx)
  target_sources(ps_unit_tests PRIVATE onnx_opencv_test.cpp)
  target_link_libraries(ps_unit_tests PRIVATE ps::onnx opencv_core opencv_dnn)
endif()
