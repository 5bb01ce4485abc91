# What `cmake --install` puts where, and the Debian package of it (`cpack -G DEB` in the build folder). Man pages and
# completions are what the program says of its own verb table; it writes them beside itself when it is linked.
set(written ${CMAKE_BINARY_DIR}/written)
add_custom_command(TARGET qad POST_BUILD VERBATIM
  COMMAND qad help --man ${written}/man
  COMMAND sh -c "for shell in bash zsh fish; do \"$1\" help --completions $shell > \"$2/$shell\" || exit 1; done"
          sh $<TARGET_FILE:qad> ${written})

install(TARGETS qad)
install(DIRECTORY recipes DESTINATION ${CMAKE_INSTALL_DATADIR}/qad)
install(DIRECTORY ${written}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES ${written}/bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME qad)
install(FILES ${written}/zsh DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions RENAME _qad)
install(FILES ${written}/fish DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d RENAME qad.fish)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME qad)
set(CPACK_PACKAGE_CONTACT "The authors of qad <qad@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "quantization-aware distillation of language models")
set(CPACK_PACKAGE_DESCRIPTION "A language model goes to four bits and keeps what it was taught: a student with quantizers
learns to match its own frozen BF16 teacher. With recipes, man pages and completions of shells.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
include(CPack)
