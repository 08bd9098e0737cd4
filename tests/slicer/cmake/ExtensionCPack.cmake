# The package is what `cmake --install` leaves; included last, and by the project's own list file.
if(NOT EXISTS ${CMAKE_BINARY_DIR}/${PROJECT_NAME}.s4ext)
  message(FATAL_ERROR "Slicer_EXTENSION_GENERATE_CONFIG was not included before")
endif()
