# What `cmake --install` puts where, and the Debian package that CPack makes of it (scripts/package).
#
# Completions and the manual page are printed by the program itself: `hearth_docs` has them written.
include(GNUInstallDirs)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # Installing builds nothing: tests are no part of it.

set(HEARTH_DOCS ${CMAKE_BINARY_DIR}/docs)
add_custom_command(
  OUTPUT ${HEARTH_DOCS}/hearth.1 ${HEARTH_DOCS}/hearth.bash ${HEARTH_DOCS}/_hearth ${HEARTH_DOCS}/hearth.fish
  COMMAND ${CMAKE_COMMAND} -E make_directory ${HEARTH_DOCS}
  COMMAND hearth man > ${HEARTH_DOCS}/hearth.1
  COMMAND hearth completions bash > ${HEARTH_DOCS}/hearth.bash
  COMMAND hearth completions zsh > ${HEARTH_DOCS}/_hearth
  COMMAND hearth completions fish > ${HEARTH_DOCS}/hearth.fish
  DEPENDS hearth
  VERBATIM)
add_custom_target(hearth_docs
  DEPENDS ${HEARTH_DOCS}/hearth.1 ${HEARTH_DOCS}/hearth.bash ${HEARTH_DOCS}/_hearth ${HEARTH_DOCS}/hearth.fish)

install(FILES ${HEARTH_DOCS}/hearth.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 OPTIONAL)
install(FILES ${HEARTH_DOCS}/hearth.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME hearth OPTIONAL)
install(FILES ${HEARTH_DOCS}/_hearth DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions OPTIONAL)
install(FILES ${HEARTH_DOCS}/hearth.fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d OPTIONAL)
install(FILES ${CMAKE_SOURCE_DIR}/cmake/hearth.service DESTINATION lib/systemd/user)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} RENAME copyright)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/CHANGELOG.md DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME hearth)
set(CPACK_PACKAGE_VENDOR "The Hearth project")
set(CPACK_PACKAGE_CONTACT "The Hearth project <hearth@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "hybrid AI hub: local models first, a cloud model when it pays")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "Answers OpenAI, Anthropic and Ollama clients with models on this machine, switches between\n\
 them in milliseconds, and asks a cloud model for advice only within a budget and a policy.")
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS ca-certificates)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
include(CPack)
