# What Slicer makes of the metadata: a description for the extensions manager.
foreach(name CATEGORY CONTRIBUTORS DESCRIPTION HOMEPAGE ICONURL SCREENSHOTURLS DEPENDS)
  if(NOT EXTENSION_${name})
    message(FATAL_ERROR "EXTENSION_${name} is empty")
  endif()
  file(APPEND ${CMAKE_BINARY_DIR}/${PROJECT_NAME}.s4ext "${name} ${EXTENSION_${name}}\n")
endforeach()
