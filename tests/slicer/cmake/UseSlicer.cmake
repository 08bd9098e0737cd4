# What include(${Slicer_USE_FILE}) brings.

# PythonQt is found by CMake's old module for Python's library, which is gone where the policy
# CMP0148 is NEW. Where the library lies is of no matter here.
set(PYTHON_LIBRARY ${CMAKE_CURRENT_LIST_DIR})
set(PYTHON_INCLUDE_DIR ${CMAKE_CURRENT_LIST_DIR})
find_package(PythonLibs REQUIRED)

include(CTest)
include(ExternalData)
include(${CMAKE_CURRENT_LIST_DIR}/CompilePythonScript.cmake)

if(SLICER_SOURCE)
  list(APPEND CMAKE_MODULE_PATH ${SLICER_SOURCE}/CMake)
  include(SlicerMacroConfigureGenericPythonModuleTests)
  include(SlicerMacroPythonTesting)
  include(SlicerMacroBuildScriptedModule)
else()
  include(${CMAKE_CURRENT_LIST_DIR}/ScriptedModule.cmake)
endif()
