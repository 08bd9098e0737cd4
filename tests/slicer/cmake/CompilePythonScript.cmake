# CTK's macro: the scripts and resources go where the application finds them, under their own paths.
function(ctkMacroCompilePythonScript)
  cmake_parse_arguments(
    MY "GLOBAL_TARGET;NO_INSTALL_SUBDIR" "TARGET_NAME;DESTINATION_DIR;INSTALL_DIR" "SCRIPTS;RESOURCES" ${ARGN}
    )
  foreach(file ${MY_SCRIPTS} ${MY_RESOURCES})
    get_filename_component(folder ${file} DIRECTORY)
    configure_file(${file} ${MY_DESTINATION_DIR}/${file} COPYONLY)
    install(FILES ${file} DESTINATION ${MY_INSTALL_DIR}/${folder})
  endforeach()
endfunction()
